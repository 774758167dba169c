package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/urfave/cli/v3"

	"github.com/podreload/podreload/daemonset"
	"github.com/podreload/podreload/daemonset/state"
	"github.com/podreload/podreload/daemonset/status"
)

// hostile is what a server may say, and what a file inside may be called: it ends the line, colours
// the terminal, gives it a title, turns the text's direction and adds a line of its own.
const hostile = "bad\x1b[31m\x1b]0;title\x07 \u009b2J\u202e\xff\r\nprod/web-1/nginx   Live\tfine\x00"

// TestHostileText: whatever text comes from a container, it is one line of a table, and no command to
// the terminal.
func TestHostileText(t *testing.T) {
	when := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	event := daemonset.Event{
		Time: when, Kind: daemonset.Kind("Turn" + hostile), By: hostile, ContainerID: hostile, Name: hostile, Pod: hostile, Namespace: hostile, Profile: hostile,
		State: daemonset.State("Refused" + hostile), Reason: hostile, Wrote: []string{hostile, hostile}, Signal: hostile, Ran: []string{hostile},
	}
	stands := daemonset.Status{
		ContainerID: hostile, Name: hostile, Pod: hostile, Namespace: hostile, Profile: hostile, State: daemonset.State("Refused" + hostile), Reason: hostile,
	}
	report := status.Report{Build: status.Build{Version: hostile, RuntimeEndpoint: hostile, Endpoints: []string{hostile}}, View: daemonset.View{
		RuntimeAway: hostile, EtcdAway: hostile,
		Profiles: []daemonset.ProfileView{{Name: hostile, Reason: hostile}},
		Targets:  []daemonset.TargetView{{Status: stands, Behind: when}},
		Feeds:    []daemonset.FeedView{{Profile: hostile, Reason: hostile}},
	}}
	paused := pauseRows([]state.Pause{{Target: hostile, By: hostile, Pin: hostile}, {Profile: hostile, By: hostile}}, placesOf(report.Targets))
	for name, test := range map[string]struct {
		print func(*bytes.Buffer) error
		lines int
	}{
		"events":  {func(out *bytes.Buffer) error { return printEvent(asked(t), out, event) }, 1},
		"history": {func(out *bytes.Buffer) error { return historyTable([]change{{Event: event}}).write(out) }, 2},
		"status":  {func(out *bytes.Buffer) error { return glance{report, paused}.table(when).write(out) }, 9},
		"pauses":  {func(out *bytes.Buffer) error { return pausesTable(paused, when).write(out) }, 3},
		"ps": {func(out *bytes.Buffer) error {
			return statusTable(asked(t), []daemonset.Status{stands}, when).write(out)
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := test.print(&out); err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(out.String(), "\n"); n != test.lines || !strings.Contains(out.String(), "prod/web-1/nginx Live fine") {
				t.Errorf("%d lines, want %d with what is harmless of it:\n%q", n, test.lines, out.String())
			}
			for _, r := range out.String() {
				if r != '\n' && r != unicode.ReplacementChar && !unicode.IsPrint(r) {
					t.Fatalf("%U in\n%q", r, out.String())
				}
			}
		})
	}
}

// TestEventsAreLines: of what is printed as JSON, too, one event is one line.
func TestEventsAreLines(t *testing.T) {
	var out bytes.Buffer
	want := daemonset.Event{Kind: daemonset.Change, Reason: strings.ToValidUTF8(hostile, "")}
	if err := printEvent(asked(t, "-o", "json"), &out, want); err != nil {
		t.Fatal(err)
	}
	var got daemonset.Event
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Reason != want.Reason || bytes.Count(out.Bytes(), []byte("\n")) != 1 {
		t.Errorf("%q: %v", out.String(), err)
	}
}

// asked is a command that lists, with these flags.
func asked(t *testing.T, flags ...string) (c *cli.Command) {
	t.Helper()
	of := &cli.Command{Flags: listFlags(), Action: func(_ context.Context, asked *cli.Command) error {
		c = asked
		return nil
	}}
	if err := of.Run(t.Context(), append([]string{"list"}, flags...)); err != nil {
		t.Fatal(err)
	}
	return c
}
