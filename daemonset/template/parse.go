package template

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	texttemplate "text/template"
	"text/template/parse"
)

// control finds what can nest in a template, `else if` included.
var control = regexp.MustCompile(`\{\{-?\s*(if|with|range|block|else)\b`)

// maxControls bounds the control structures of a template before it is parsed:
// text/template's parser recurses for each that is inside another, and a stack
// of more than a gigabyte ends the whole process.
const maxControls = 20_000

var errControls = fmt.Errorf("more than %d control structures", maxControls)

// parseTemplate parses a template once for all renders. Its store functions
// are bound to nothing yet; each render binds its own.
func parseTemplate(name, text string) (*texttemplate.Template, error) {
	if len(control.FindAllStringIndex(text, maxControls+1)) > maxControls {
		return nil, errControls
	}
	var unbound execution
	t, err := texttemplate.New(name).Funcs(printers).Funcs(pure).Funcs(unbound.functions()).Parse(text)
	if err != nil {
		return nil, err
	}
	for _, part := range t.Templates() {
		if err := guard(part.Tree.Root); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// parseProblem takes line and message out of an error of the parser, which
// reads `template: NAME:LINE: MESSAGE`.
func parseProblem(name string, err error) (line int, message string) {
	var nested nestedTooDeep
	if errors.As(err, &nested) {
		return nested.line, nested.Error()
	}
	line, _, message = cutLocation(name, err.Error())
	unknown, ok := strings.CutPrefix(message, "function ")
	if !ok {
		return line, message
	}
	quoted, _, _ := strings.Cut(unknown, " ")
	function, err := strconv.Unquote(quoted)
	switch {
	case err != nil:
	case slices.Contains(crypt, function):
		message = fmt.Sprintf("function %q is not available: confd dropped its encrypted values after v0.16", function)
	default:
		var e execution
		known := slices.Concat(sortedKeys(pure), sortedKeys(printers), sortedKeys(e.functions()))
		message += didYouMean(function, known)
	}
	return line, message
}

// cutLocation takes `template: NAME:LINE:COLUMN: ` off the front of an error's
// text. What is not there is zero.
func cutLocation(name, text string) (line, column int, rest string) {
	text, ok := strings.CutPrefix(text, "template: "+name+":")
	if !ok {
		return 0, 0, strings.TrimPrefix(text, "template: ")
	}
	for first, n := range []*int{&line, &column} {
		digits, after, ok := strings.Cut(text, ":")
		value, err := strconv.Atoi(digits)
		if !ok || err != nil {
			break
		}
		// text/template counts lines from 1 and columns from 0.
		*n, text = value+first, after
	}
	return line, column, strings.TrimSpace(text)
}

// walk visits a node and all below it. The parser bounds how deep that is.
func walk(node parse.Node, visit func(parse.Node)) {
	visit(node)
	switch n := node.(type) {
	case *parse.ListNode:
		for _, child := range n.Nodes {
			walk(child, visit)
		}
	case *parse.ActionNode:
		walk(n.Pipe, visit)
	case *parse.TemplateNode:
		if n.Pipe != nil {
			walk(n.Pipe, visit)
		}
	case *parse.PipeNode:
		for _, command := range n.Cmds {
			walk(command, visit)
		}
	case *parse.CommandNode:
		for _, arg := range n.Args {
			walk(arg, visit)
		}
	case *parse.ChainNode:
		walk(n.Node, visit)
	}
	if branch := branchOf(node); branch != nil {
		walk(branch.Pipe, visit)
		walk(branch.List, visit)
		if branch.ElseList != nil {
			walk(branch.ElseList, visit)
		}
	}
}

// calls says whether a command calls a function.
func calls(command *parse.CommandNode, function string) bool {
	identifier, ok := command.Args[0].(*parse.IdentifierNode)
	return ok && identifier.Ident == function
}
