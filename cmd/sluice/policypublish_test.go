package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/authz/policysync"
)

const aPolicy = "clusters: {app: {endpoints: ['127.0.0.1:9000']}}\nroutes: [{name: app, cluster: app}]\n"

// command runs one command line and returns what it printed and its exit code.
func command(t *testing.T, args ...string) (string, int) {
	t.Helper()
	root := newRoot()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	var code *exitError
	switch {
	case errors.As(err, &code):
		if code.err != nil {
			out.WriteString(code.err.Error())
		}
		return out.String(), code.code
	case err != nil:
		return out.String() + err.Error(), exitUsage
	}
	return out.String(), exitOK
}

// want runs a command and looks at its exit code and for some of what it prints.
func want(t *testing.T, code int, text string, args ...string) string {
	t.Helper()
	out, got := command(t, args...)
	if got != code || !strings.Contains(out, text) {
		t.Errorf("%s: exit %d, want %d; printed\n%s\nwant in it: %s", strings.Join(args, " "), got, code, out, text)
	}
	return out
}

func writeAt(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The whole life of a store: keys, a first version, a change, a way back, and what is refused.
func TestPublishing(t *testing.T) {
	t.Setenv("SLUICE_CONFIG", "")
	dir := t.TempDir()
	src, store, key := filepath.Join(dir, "src"), "dir:"+filepath.Join(dir, "store"), filepath.Join(dir, "publisher.key")
	writeAt(t, filepath.Join(src, "app.yaml"), aPolicy)

	want(t, exitOK, "public key: ", "policy", "keygen", key)
	want(t, exitUsage, "nothing was made", "policy", "keygen", key)
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret key has mode %v, %v", info.Mode(), err)
	}
	want(t, exitFailed, "there is no policy", "policy", "verify", "--store", store)
	want(t, exitOK, "nothing was ever published to directory "+filepath.Join(dir, "store"), "policy", "history", "--store", store)

	want(t, exitOK, "published version 1 (", "policy", "publish", src, "--to", store, "--key", key, "--keys", key+".pub", "--expires", "720h", "--min-proxy", "0.1")
	want(t, exitOK, "fine: version 1 (", "policy", "verify", "--store", store, "--keys", key+".pub")
	want(t, exitOK, "not verified: there are no keys", "policy", "verify", "--store", store)

	writeAt(t, filepath.Join(src, "app.yaml"), strings.Replace(aPolicy, "9000", "9001", 1))
	writeAt(t, filepath.Join(src, "more.yaml"), "clusters: {more: {endpoints: ['127.0.0.1:9002']}}\n")
	want(t, exitOK, "  + more.yaml\n  ~ app.yaml\n", "policy", "publish", src, "--to", store, "--key", key, "--expires", "0s")
	want(t, exitOK, "no file differs from version 2", "policy", "publish", src, "--to", store, "--key", key)
	want(t, exitOK, "published version 4 (", "policy", "rollback", "1", "--store", store, "--key", key)

	var list []pastVersion
	if err := json.Unmarshal([]byte(want(t, exitOK, "", "policy", "history", "--store", store, "--keys", key+".pub", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 4 || list[0].Version.Number != 4 || !list[0].Present || list[3].Version.Number != 1 || list[3].Present ||
		list[0].MinProxy != "0.1" || list[0].Files != 1 || list[0].Signatures != 1 || !list[0].Expires.IsZero() || list[3].Expires.IsZero() {
		t.Errorf("history %+v", list)
	}

	// What would be refused is not published.
	before, err := os.ReadFile(filepath.Join(dir, "store", "head"))
	if err != nil {
		t.Fatal(err)
	}
	want(t, exitUsage, "the head is not signed", "policy", "publish", src, "--to", store, "--keys", key+".pub")
	want(t, exitUsage, "4 is not above 4", "policy", "publish", src, "--to", store, "--unsigned", "--number", "4")
	want(t, exitUsage, `min_proxy "new" is no version`, "policy", "publish", src, "--to", store, "--unsigned", "--min-proxy", "new")
	want(t, exitUsage, "give --key, or --unsigned", "policy", "publish", src, "--to", store)
	want(t, exitFailed, "version 17 is not among the 4", "policy", "rollback", "17", "--store", store)
	writeAt(t, filepath.Join(src, "more.yaml"), "clusters: {more: {endpoint: ['127.0.0.1:9002']}}\n")
	want(t, exitUsage, "more.yaml:1:", "policy", "publish", src, "--to", store, "--unsigned")
	want(t, exitUsage, `"s3://x" is no store`, "policy", "publish", src, "--to", "s3://x")
	want(t, exitUsage, "say which store", "policy", "history")
	want(t, exitUsage, "etcd needs --config", "policy", "verify", "--store", "etcd")
	if after, err := os.ReadFile(filepath.Join(dir, "store", "head")); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the head changed: %s, %v", after, err)
	}

	// What somebody else put beside the versions gets no signature of ours by a rollback, though nobody said whom to believe.
	older := filepath.Join(dir, "store", "heads", "00000000000000000002")
	kept, err := os.ReadFile(older)
	if err != nil {
		t.Fatal(err)
	}
	forged, _, _ := bytes.Cut(kept, []byte("untrusted comment:"))
	writeAt(t, older, string(forged))
	want(t, exitFailed, "the head is not signed", "policy", "rollback", "2", "--store", store, "--key", key)
	writeAt(t, older, string(kept))

	// Somebody else writes to the store.
	writeAt(t, filepath.Join(dir, "store", "head"), strings.Replace(string(before), `"version": 4`, `"version": 40`, 1))
	want(t, exitFailed, "refused [signature]", "policy", "verify", "--store", store, "--keys", key+".pub")
	if err := os.Remove(filepath.Join(src, "more.yaml")); err != nil {
		t.Fatal(err)
	}
	want(t, exitUsage, "say with --number one above that of the version in force", "policy", "publish", src, "--to", store, "--key", key, "--keys", key+".pub")
	want(t, exitOK, "published version 5 (", "policy", "publish", src, "--to", store, "--key", key, "--keys", key+".pub", "--number", "5")
	objects, err := filepath.Glob(filepath.Join(dir, "store", "objects", "*"))
	if err != nil || len(objects) < 2 {
		t.Fatal(objects, err)
	}
	for _, name := range objects {
		writeAt(t, name, "routes: []\n")
	}
	want(t, exitFailed, "refused [hash]", "policy", "verify", "--store", store, "--keys", key+".pub")
}

// raced is a store in which somebody else is always first.
type raced struct{ policysync.Store }

func (raced) Swap(context.Context, []byte, []byte, uint64) error { return policysync.ErrConflict }

func TestALostRaceHasItsOwnCode(t *testing.T) {
	s := &openedStore{Store: raced{policysync.NewDirStore(t.TempDir())}}
	p := policysync.Publication{Files: []policy.File{{Name: "a.yaml", Src: []byte(aPolicy)}}}
	err := publishTo(t.Context(), &bytes.Buffer{}, s, p, 0, false)
	var code *exitError
	if !errors.As(err, &code) || code.code != exitConflict || !strings.Contains(code.Error(), "somebody else has published meanwhile") {
		t.Errorf("got %v", err)
	}
}

// A version can be compared with what is to follow it, by lines and by decisions.
func TestDiffOfVersions(t *testing.T) {
	t.Setenv("SLUICE_CONFIG", "")
	dir := t.TempDir()
	src, store, cases := filepath.Join(dir, "src"), "dir:"+filepath.Join(dir, "store"), filepath.Join(dir, "cases.yaml")
	writeAt(t, filepath.Join(src, "app.yaml"), aPolicy)
	writeAt(t, filepath.Join(src, "old.yaml"), "clusters: {old: {endpoints: ['127.0.0.1:9003']}}\n")
	want(t, exitOK, "version 1", "policy", "publish", src, "--to", store)
	writeAt(t, filepath.Join(src, "app.yaml"), strings.Replace(aPolicy, "cluster: app", "cluster: app, policy: [{allow: {and: [{accept: true}]}}]", 1))
	writeAt(t, filepath.Join(src, "new.yaml"), "clusters: {new: {endpoints: ['127.0.0.1:9004']}}\n")
	if err := os.Remove(filepath.Join(src, "old.yaml")); err != nil {
		t.Fatal(err)
	}

	out := want(t, exitFailed, "--- @head/app.yaml\n+++ "+src+"/app.yaml\n", "policy", "diff", "@head", src, "--store", store)
	for _, line := range []string{"-routes: [{name: app, cluster: app}]", "+routes: [{name: app, cluster: app, policy:", "+clusters: {new:", "-clusters: {old:"} {
		if !strings.Contains(out, "\n"+line) {
			t.Errorf("no line %q in\n%s", line, out)
		}
	}
	want(t, exitOK, "version 2", "policy", "publish", src, "--to", store)
	if out := want(t, exitOK, "", "policy", "diff", "@2", src, "--store", store); out != "" {
		t.Errorf("what is the same prints %q", out)
	}
	writeAt(t, cases, "cases:\n- {name: anybody, request: {host: a.example.com, path: /}, expect: allow}\n")
	want(t, exitFailed, "1 of 1 decisions change", "policy", "diff", "@1", "@2", cases, "--store", store)
	want(t, exitOK, "0 of 1 decisions change", "policy", "diff", "@2", "@head", cases, "--store", store)

	var r diffReport
	asJSON := want(t, exitFailed, "", "policy", "diff", "@1", "@2", "--store", store, "--json")
	if err := json.Unmarshal([]byte(asJSON), &r); err != nil || strings.Join(r.Files.Added, " ") != "new.yaml" || strings.Join(r.Files.Changed, " ") != "app.yaml" || strings.Join(r.Files.Removed, " ") != "old.yaml" {
		t.Errorf("%v: %s", err, asJSON)
	}

	want(t, exitUsage, "version 7 is not among the 2", "policy", "diff", "@7", "@2", "--store", store)
	want(t, exitUsage, "@x is no version", "policy", "diff", "@x", "@2", "--store", store)
	want(t, exitUsage, "say which store", "policy", "diff", "@1", "@2")
	want(t, exitUsage, "no such file", "policy", "diff", filepath.Join(dir, "none"), "@2", "--store", store)
}
