package template

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template/parse"
)

// podText is a value of prefix, keys or dest: text, and what it takes from the
// pod. It is less than a template on purpose. What a pod's owner may write into
// a label decides which keys of etcd and which file are meant, so nothing here
// computes, and each value is one element of a path at most.
type podText []podPart

// podPart is text, or a chain of calls whose last value is printed.
type podPart struct {
	text  string
	calls []podCall
}

// podCall is a function of podFunctions, with its argument or the value that
// was piped to it.
type podCall struct {
	function string
	arg      string
	piped    bool
}

// usesPod says whether the text depends on the pod.
func (t podText) usesPod() bool {
	return slices.ContainsFunc(t, func(p podPart) bool { return len(p.calls) > 0 })
}

// podValue is what a value taken from a pod may look like: no slash, neither
// empty nor "." nor "..".
var podValue = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`)

const maxPodValue = 253 // as long as the name of a pod can be

// parsePodText parses a value of prefix, keys or dest.
func parsePodText(text string) (podText, error) {
	if !strings.Contains(text, "{{") {
		return podText{{text: text}}, nil
	}
	known := map[string]any{}
	for _, f := range podFunctions {
		known[f] = f
	}
	trees, err := parse.Parse("pod", text, "", "", known)
	if err != nil {
		_, message := parseProblem("pod", err)
		if strings.HasPrefix(message, "function ") {
			name, _, _ := strings.Cut(message, ";")
			message = fmt.Sprintf("%s here%s", name, didYouMean(strings.Split(name, `"`)[1], podFunctions))
		}
		return nil, fmt.Errorf("%s; %s", message, podHint)
	}
	if len(trees) > 1 || trees["pod"] == nil {
		return nil, errPodText
	}
	var parsed podText
	for _, node := range trees["pod"].Root.Nodes {
		switch n := node.(type) {
		case *parse.TextNode:
			parsed = append(parsed, podPart{text: string(n.Text)})
		case *parse.ActionNode:
			calls, err := podCalls(n.Pipe)
			if err != nil {
				return nil, err
			}
			parsed = append(parsed, podPart{calls: calls})
		default:
			return nil, errPodText
		}
	}
	return parsed, nil
}

var podHint = fmt.Sprintf("only text and calls of %s with a literal string can stand here, such as {{ label \"app\" }}",
	strings.Join(podFunctions, ", "))

var errPodText = errors.New(podHint)

func podCalls(pipe *parse.PipeNode) ([]podCall, error) {
	if len(pipe.Decl) > 0 {
		return nil, errPodText
	}
	var calls []podCall
	piped := ""
	for i, command := range pipe.Cmds {
		if text, ok := command.Args[0].(*parse.StringNode); ok && i == 0 && len(command.Args) == 1 && len(pipe.Cmds) > 1 {
			piped = text.Text // {{ "app" | label }}
			continue
		}
		function, ok := command.Args[0].(*parse.IdentifierNode)
		if !ok {
			return nil, errPodText
		}
		c := podCall{function: function.Ident, arg: piped, piped: len(calls) > 0}
		given := len(command.Args) - 1
		if i > 0 {
			given++
		}
		if len(command.Args) == 2 {
			text, ok := command.Args[1].(*parse.StringNode)
			if !ok {
				return nil, errPodText
			}
			c.arg = text.Text
		}
		takes := 0
		if c.function == "label" || c.function == "annotation" {
			takes = 1
		}
		if given != takes {
			return nil, fmt.Errorf("%s takes %d arguments and gets %d; %s", c.function, takes, given, podHint)
		}
		calls = append(calls, c)
	}
	return calls, nil
}

const podExample = "x"

// example is the text for a pod that says "x" wherever it is asked.
func (t podText) example() string {
	var b strings.Builder
	for _, part := range t {
		if b.WriteString(part.text); len(part.calls) > 0 {
			b.WriteString(podExample)
		}
	}
	return b.String()
}

// resolve is the text for one pod.
func (t podText) resolve(facts *Facts) (string, error) {
	var b strings.Builder
	for _, part := range t {
		b.WriteString(part.text)
		if len(part.calls) == 0 {
			continue
		}
		value, what := "", ""
		for _, c := range part.calls {
			arg := c.arg
			if c.piped {
				arg = value
			}
			if what = c.function; arg != "" {
				what = fmt.Sprintf("%s %q", c.function, arg)
			}
			var err error
			if value, err = facts.podFact(c.function, arg); err != nil {
				return "", err
			}
			if value == "" {
				return "", fmt.Errorf("pod %s/%s has no %s, or an empty one", facts.Pod.Namespace, facts.Pod.Name, what)
			}
		}
		if len(value) > maxPodValue || !podValue.MatchString(value) {
			return "", fmt.Errorf("%s of pod %s/%s is %.80q, which cannot stand in a path here: letters, digits, \"-\", \"_\" and \".\" can, "+
				"the first and the last a letter or digit", what, facts.Pod.Namespace, facts.Pod.Name, value)
		}
		b.WriteString(value)
	}
	return b.String(), nil
}
