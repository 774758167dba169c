package template

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"go.yaml.in/yaml/v2"
)

// formats are the words for output_format.
var formats = []string{"json", "toml", "xml", "yaml", "yml"}

// formatError says that a rendered file is not what output_format says. The
// parser's words can quote it.
type formatError struct {
	format string
	line   int // of what was rendered; 0 when not known
	err    error
}

// where is the error without the parser's words.
func (e *formatError) where() string {
	s := "the rendered file does not parse as " + e.format
	if e.line > 0 {
		s += fmt.Sprintf(": line %d of what it makes", e.line)
	}
	return s
}

func (e *formatError) Error() string { return e.where() + ": " + e.err.Error() }
func (e *formatError) Unwrap() error { return e.err }

// checkFormat parses what was rendered, as output_format says.
func (r *Resource) checkFormat(data []byte) error {
	var line int
	var err error
	switch r.OutputFormat {
	case "json":
		line, err = checkJSON(data)
	case "toml":
		line, err = checkTOML(data)
	case "xml":
		line, err = checkXML(data)
	case "yaml", "yml":
		line, err = checkYAML(data)
	}
	if err == nil {
		return nil
	}
	// YAML counts other ends of lines too; editors do not.
	return &formatError{r.OutputFormat, min(line, lineAt(data, len(data))), err}
}

func checkJSON(data []byte) (line int, err error) {
	var whole json.RawMessage // checked, and not built
	err = json.Unmarshal(data, &whole)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		line = lineAt(data, int(syntax.Offset))
	}
	return line, err
}

// countElements fails for what would take far more memory than its text when it
// is parsed.
func countElements(data []byte) error {
	n := 0
	for _, separator := range ",:-[{\n" {
		n += bytes.Count(data, []byte{byte(separator)})
	}
	if n > maxList {
		return fmt.Errorf("it has about %d elements, and more than %d are not parsed; leave output_format out", n, maxList)
	}
	return nil
}

func checkTOML(data []byte) (line int, err error) {
	if err := countElements(data); err != nil {
		return 0, err
	}
	var v any
	err = toml.Unmarshal(data, &v)
	var bad *toml.DecodeError
	if errors.As(err, &bad) {
		line, _ = bad.Position()
		err = errors.New(strings.TrimPrefix(bad.Error(), "toml: "))
	}
	return line, err
}

// checkXML wants one element with all that belongs to it.
func checkXML(data []byte) (line int, err error) {
	d := xml.NewDecoder(bytes.NewReader(data))
	elements, depth := 0, 0
	for {
		token, err := d.Token()
		var syntax *xml.SyntaxError
		switch {
		case errors.Is(err, io.EOF) && elements == 0:
			return 0, errors.New("there is no element in it")
		case errors.Is(err, io.EOF):
			return 0, nil
		case errors.As(err, &syntax):
			return syntax.Line, errors.New(syntax.Msg)
		case err != nil:
			line, _ := d.InputPos()
			return line, err
		}
		switch token.(type) {
		case xml.StartElement:
			if elements++; depth == 0 && elements > 1 {
				line, _ := d.InputPos()
				return line, errors.New("there is more than one element outside of all others")
			}
			depth++
		case xml.EndElement:
			depth--
		}
	}
}

// checkYAML parses each document that is in it. Aliases that expand without end
// are an error of the parser.
func checkYAML(data []byte) (line int, err error) {
	if err := countElements(data); err != nil {
		return 0, err
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	for err == nil {
		var v any
		err = d.Decode(&v)
	}
	if errors.Is(err, io.EOF) {
		return 0, nil
	}
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		digits, text, _ := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(digits); err == nil {
			line, message = n, text
		}
	}
	return line, errors.New(message)
}
