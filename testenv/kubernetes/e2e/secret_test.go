package e2e

import (
	"os"
	"path/filepath"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// testSecret has etcd want a login, which the agent has from the Secret: a user who may read the prefix
// of the templates, and nothing else. A change of podreload.toml rolls the agents. Nothing after it can write to
// etcd without a login.
func (r *rig) testSecret() {
	ctx := r.t.Context()
	r.deploy("login", "", "")
	before := r.restarts()
	r.kubectl("-n", "podreload", "create", "secret", "generic", "podreload-etcd", "--from-literal=password=of-the-agent")
	etcd := r.etcd.Client()
	for _, step := range []func() error{
		func() error { _, err := etcd.RoleAdd(ctx, "podreload"); return err },
		func() error {
			_, err := etcd.RoleGrantPermission(ctx, "podreload", "/web", clientv3.GetPrefixRangeEnd("/web"), clientv3.PermissionType(clientv3.PermRead))
			return err
		},
		func() error { _, err := etcd.UserAdd(ctx, "podreload", "of-the-agent"); return err },
		func() error { _, err := etcd.UserGrantRole(ctx, "podreload", "podreload"); return err },
		func() error { _, err := etcd.UserAdd(ctx, "root", "of-root"); return err },
		func() error { _, err := etcd.UserGrantRole(ctx, "root", "root"); return err },
		func() error { _, err := etcd.AuthEnable(ctx); return err },
	} {
		if err := step(); err != nil {
			r.t.Fatal(err)
		}
	}
	root, err := clientv3.New(clientv3.Config{
		Endpoints: []string{r.etcd.Endpoint()}, Username: "root", Password: "of-root", Logger: zap.NewNop(),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	defer root.Close()

	file := filepath.Join(r.overlay, "podreload.toml")
	text, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	text = append(text, "user = \"podreload\"\npassword-file = \"/etc/podreload/etcd/password\"\n"...)
	if err := os.WriteFile(file, text, 0o644); err != nil {
		r.t.Fatal(err)
	}
	r.kubectl("apply", "-k", r.overlay)
	r.rolledOut("podreload", "daemonset/podreload")
	if after := r.restarts(); after == before {
		r.t.Errorf("the agent is %s still after podreload.toml has changed", after)
	}
	if _, err := root.Put(ctx, key, "with a login"); err != nil {
		r.t.Fatal(err)
	}
	r.served(r.podIP("login"), "with a login")
}
