package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"text/template"
	"time"
	"unicode"

	"github.com/urfave/cli/v3"
	"sigs.k8s.io/yaml"

	"github.com/podreload/podreload/daemonset"
)

// formatFlags are the flags of every command that prints something structured.
// format is the one that it prints unless told otherwise; it can be one of its own.
func formatFlags(format string) []cli.Flag {
	words := formats
	if !slices.Contains(words, format) {
		words = append([]string{format}, words...)
	}
	last := len(words) - 1
	known := strings.Join(words[:last], ", ") + " or " + words[last]
	valid := func(s string) error {
		if !slices.Contains(words, s) {
			return errors.New("it is " + known)
		}
		return nil
	}
	return []cli.Flag{
		&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Value: format, Validator: valid, Usage: "`FORMAT`: " + known},
		&cli.StringFlag{Name: "template", Validator: validTemplate, Usage: "Go `TEMPLATE` for -o go-template, over what -o json prints"},
	}
}

// listFlags are the flags of every command that lists something.
func listFlags(more ...cli.Flag) []cli.Flag {
	return slices.Concat(formatFlags("table"), []cli.Flag{
		&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print ids or names only"},
		&cli.BoolFlag{Name: "no-trunc", Usage: "print whole ids"},
	}, more)
}

var formats = []string{"table", "json", "yaml", "go-template"}

func validTemplate(s string) error {
	_, err := parseTemplate(s)
	return err
}

// checkOutput comes before the command, which may do much before it prints.
func checkOutput(ctx context.Context, c *cli.Command) (context.Context, error) {
	if (c.String("output") == "go-template") != c.IsSet("template") {
		return ctx, usagef("-o go-template and --template go together")
	}
	return ctx, nil
}

// table is what a command prints in a form of its own: rows of cells, of which
// the first is what --quiet prints.
type table struct {
	header []string
	rows   [][]string
}

// print writes value in the format that the flags ask for; t is its table.
func print(c *cli.Command, value any, t table) error {
	w := c.Root().Writer
	if c.Bool("quiet") {
		for _, row := range t.rows {
			if row[0] == "" {
				continue // a pod in which no container could be chosen
			}
			if _, err := fmt.Fprintln(w, row[0]); err != nil {
				return err
			}
		}
		return nil
	}
	switch c.String("output") {
	case "json":
		return printJSON(w, value)
	case "yaml":
		text, err := yaml.Marshal(value)
		if err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	case "go-template":
		return printTemplate(w, c.String("template"), value)
	}
	return t.write(w)
}

func (t table) write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 1, 3, ' ', 0)
	fmt.Fprintln(tw, strings.Join(t.header, "\t"))
	for _, row := range t.rows {
		var cells []string
		for _, cell := range row {
			cells = append(cells, line(cell))
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	return tw.Flush()
}

func printJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(value)
}

func parseTemplate(text string) (*template.Template, error) {
	return template.New("template").Option("missingkey=error").Funcs(template.FuncMap{
		"json":  func(v any) (string, error) { b, err := json.Marshal(v); return string(b), err },
		"lower": strings.ToLower, "upper": strings.ToUpper,
	}).Parse(text)
}

// printTemplate runs over the JSON form, so that a template uses the same names
// as every other program does.
func printTemplate(w io.Writer, text string, value any) error {
	t, err := parseTemplate(text)
	if err != nil {
		return err
	}
	b, err := json.Marshal(value)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // a revision as a float is shown in parts
	var generic any
	if err := d.Decode(&generic); err != nil {
		return err
	}
	withFields(reflect.ValueOf(value), generic)
	if err := t.Execute(w, integers(generic)); err != nil {
		return fmt.Errorf("--template: %w", err)
	}
	_, err = fmt.Fprintln(w)
	return err
}

// integers makes whole numbers of what was decoded as a number.
func integers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
	case map[string]any:
		for key, inner := range v {
			v[key] = integers(inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = integers(inner)
		}
	}
	return v
}

// id is a container's id as the flags want it shown.
func id(c *cli.Command, full string) string {
	if c.Bool("no-trunc") || c.Bool("quiet") {
		return full
	}
	return daemonset.ShortID(full)
}

// revision is an etcd revision; the first is 1, 0 is none yet.
func revision(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// ago is how long something is past, in the largest unit, as kubectl shows it.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	switch d := max(0, now.Sub(t)); {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds ago", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd ago", int(d.Hours()/24))
	}
}

// line is a text as one table cell: one line, and nothing that moves a
// terminal's cursor or turns its text round, since parts of it may come from
// inside a container. Nothing is a dash.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
	if s = strings.Join(strings.Fields(s), " "); s == "" {
		return "-"
	}
	return s
}
