package main

import (
	"context"
	"runtime"

	"github.com/urfave/cli/v3"
)

var versionCommand = &cli.Command{
	Name:  "version",
	Usage: "print the versions of podreload and of the runtime",
	Flags: formatFlags("table"),
	Action: func(ctx context.Context, c *cli.Command) error {
		if err := noArgs(c); err != nil {
			return err
		}
		v := struct {
			Version        string `json:"version"`
			GoVersion      string `json:"goVersion"`
			Platform       string `json:"platform"`
			RuntimeVersion string `json:"runtimeVersion"`
		}{version, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, "unreachable"}
		if client, err := openPods(c); err == nil {
			defer client.Close()
			ctx, cancel := context.WithTimeout(ctx, c.Duration("timeout"))
			defer cancel()
			if got, err := client.Version(ctx); err == nil {
				v.RuntimeVersion = got
			}
		}
		return print(c, v, table{header: []string{"WHAT", "VERSION"}, rows: [][]string{
			{"podreload", v.Version}, {"go", v.GoVersion}, {"platform", v.Platform}, {"containerd", v.RuntimeVersion},
		}})
	},
}
