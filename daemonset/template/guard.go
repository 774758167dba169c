package template

import (
	"errors"
	"fmt"
	"slices"
	"text/template/parse"
	"time"
)

// Errors of a render that went over its bounds.
var (
	ErrTooLarge = errors.New("the rendered file is too large")
	ErrTooLong  = errors.New("rendering takes too long")
	ErrTooDeep  = errors.New("templates call each other too deeply")
)

// Bounds of nesting. Together they keep the stack of a render small: each
// level costs about a kilobyte, and one gigabyte ends the process.
const (
	maxNesting = 100  // of control structures, within one template body
	maxCalls   = 1000 // of templates, in a render

	toMark = 16 // actions in one list of nodes
)

// guard changes the body of a template so that it can be stopped, which
// text/template has no way for: `{{range 20000000}}{{end}}` calls nothing and
// prints nothing. Every range body begins with a mark, one stands behind every
// so many actions, and the template itself is enclosed in two. A mark is an empty
// text: to print it costs next to nothing (a call of a function would take longer
// than the rest of most loops), and output knows it by its address.
func guard(body *parse.ListNode) error {
	if err := guardList(body, 0); err != nil {
		return err
	}
	insert(body, 0, enterMark[:0:1])
	insert(body, len(body.Nodes), leaveMark[:0:1])
	return nil
}

// The marks. Of tickMark the capacity is the line that it stands in; its pages
// are never touched.
var (
	tickMark  [maxTemplate + 2]byte
	enterMark [1]byte
	leaveMark [1]byte
)

func tick(line int) []byte { return tickMark[: 0 : 1+min(max(line, 0), maxTemplate)] }

func guardList(list *parse.ListNode, depth int) error {
	if list == nil {
		return nil
	}
	actions := 0
	for i := 0; i < len(list.Nodes); i++ {
		branch := branchOf(list.Nodes[i])
		if branch == nil {
			// Without any range a template can still do and hold much.
			action, ok := list.Nodes[i].(*parse.ActionNode)
			if !ok {
				continue
			}
			if actions++; actions%toMark == 0 {
				i++
				insert(list, i, tick(action.Line))
			}
			continue
		}
		if depth == maxNesting {
			return nestedTooDeep{branch.Line}
		}
		if err := guardList(branch.List, depth+1); err != nil {
			return err
		}
		if err := guardList(branch.ElseList, depth+1); err != nil {
			return err
		}
		if branch.NodeType == parse.NodeRange {
			insert(branch.List, 0, tick(branch.Line))
		}
	}
	return nil
}

// branchOf is what if, with and range have in common; nil for other nodes.
func branchOf(node parse.Node) *parse.BranchNode {
	switch n := node.(type) {
	case *parse.IfNode:
		return &n.BranchNode
	case *parse.WithNode:
		return &n.BranchNode
	case *parse.RangeNode:
		return &n.BranchNode
	}
	return nil
}

// insert puts a mark into a list.
func insert(list *parse.ListNode, at int, mark []byte) {
	list.Nodes = slices.Insert(list.Nodes, at, parse.Node(&parse.TextNode{NodeType: parse.NodeText, Pos: list.Pos, Text: mark}))
}

type nestedTooDeep struct{ line int }

func (nestedTooDeep) Error() string {
	return fmt.Sprintf("control structures are nested more than %d deep (else if counts as one more)", maxNesting)
}

// budget is what a render may still spend.
type budget struct {
	deadline time.Time
	calls    int
	held     held
}

// tick fails when the time is over, or when too much is held. The line is that
// of the range it stands in.
func (b *budget) tick(line int) error {
	now := time.Now()
	if now.After(b.deadline) {
		return overrun{line, ErrTooLong}
	}
	if now.After(b.held.next) {
		if err := b.held.look(now); err != nil {
			return overrun{line, err}
		}
	}
	return nil
}

// mark is called for each mark that is printed.
func (b *budget) mark(p []byte) error {
	if cap(p) == 0 {
		return nil
	}
	switch &p[:1][0] {
	case &tickMark[0]:
		return b.tick(cap(p) - 1)
	case &enterMark[0]:
		if b.calls++; b.calls > maxCalls {
			return overrun{0, ErrTooDeep}
		}
		return b.tick(0)
	case &leaveMark[0]:
		b.calls--
	}
	return nil
}

// overrun is one of the errors above, with the line of the range that was
// running, or 0.
type overrun struct {
	line int
	error
}

func (e overrun) Unwrap() error { return e.error }

// output collects what a template prints, up to its limit.
type output struct {
	data  []byte
	limit int
	*budget
}

func (o *output) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, o.mark(p)
	}
	if len(o.data)+len(p) > o.limit {
		return 0, overrun{0, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, o.limit)}
	}
	o.data = append(o.data, p...)
	return len(p), nil
}
