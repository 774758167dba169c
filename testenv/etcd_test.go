package testenv

import (
	"path/filepath"
	"testing"
)

func TestEtcd(t *testing.T) {
	for _, v := range []Version{"", Debian} {
		t.Run("version "+string(v), func(t *testing.T) {
			t.Parallel()
			testEtcd(t, v)
		})
	}
}

func testEtcd(t *testing.T, v Version) {
	config := EtcdConfig{Version: v}
	e := NewEtcdWith(t, config)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(value string, revision int64) {
		t.Helper()
		r, err := e.Client().Get(ctx, "/key")
		must(err)
		got := ""
		if len(r.Kvs) == 1 {
			got = string(r.Kvs[0].Value)
		}
		if got != value || r.Header.Revision != revision {
			t.Errorf("/key = %q at revision %d, want %q at %d", got, r.Header.Revision, value, revision)
		}
	}
	first, err := e.Put(ctx, "/key", "one")
	must(err)
	endpoint := e.Endpoint()

	e.Stop()
	must(e.Start(ctx))
	want("one", first)

	backup := filepath.Join(t.TempDir(), "backup")
	must(e.Backup(ctx, backup))
	second, err := e.Put(ctx, "/key", "two")
	must(err)
	if second != first+1 {
		t.Errorf("second put at revision %d, want %d", second, first+1)
	}
	must(e.Restore(ctx, backup))
	want("one", first)

	if _, err := e.Delete(ctx, "/key"); err != nil {
		t.Fatal(err)
	}
	want("", first+1)
	if got := e.Endpoint(); got != endpoint {
		t.Errorf("endpoint %s, want the same as before: %s", got, endpoint)
	}

	// As after a crash: what is in the folder is enough to come back.
	e.Kill()
	again, err := StartEtcdWith(ctx, e.dir, config)
	must(err)
	defer again.Close()
	if got := again.Endpoint(); got != endpoint {
		t.Errorf("endpoint %s of an etcd in the same folder, want %s", got, endpoint)
	}
	r, err := again.Client().Get(ctx, "/key")
	must(err)
	if r.Header.Revision != first+1 {
		t.Errorf("an etcd in the same folder is at revision %d, want %d", r.Header.Revision, first+1)
	}
}
