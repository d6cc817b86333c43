package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz/policysync"
)

func hexSum(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }

// byHand makes files the next version of a store, as another publisher than ours may.
func byHand(t *testing.T, dir string, number uint64, files map[string]string) {
	t.Helper()
	s := policysync.NewDirStore(dir)
	m := policysync.Manifest{Version: number, Created: time.Now(), Objects: map[string]string{}}
	for name, text := range files {
		m.Objects[name] = hexSum(text)
		if err := s.Put(context.Background(), hexSum(text), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	old, _ := s.RawHead(context.Background())
	next, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Swap(context.Background(), old, append(next, '\n'), number); err != nil {
		t.Fatal(err)
	}
}

// What a version holds besides is not hidden by a name that ends as another one does.
func TestDiffHidesNoFile(t *testing.T) {
	t.Setenv("SLUICE_CONFIG", "")
	dir := t.TempDir()
	src, at := filepath.Join(dir, "src"), filepath.Join(dir, "store")
	writeAt(t, filepath.Join(src, "app.yaml"), aPolicy)
	byHand(t, at, 1, map[string]string{"x/app.yaml": aPolicy, "app.yaml": "clusters: {evil: {endpoints: ['127.0.0.1:9']}}\n"})
	want(t, exitUsage, "a name that no file of a policy has", "policy", "diff", "@head", src, "--store", "dir:"+at)
}

// What a store holds is no command for a terminal.
func TestDiffIsNoCommandForATerminal(t *testing.T) {
	t.Setenv("SLUICE_CONFIG", "")
	dir := t.TempDir()
	src, at := filepath.Join(dir, "src"), filepath.Join(dir, "store")
	writeAt(t, filepath.Join(src, "app.yaml"), aPolicy)
	byHand(t, at, 1, map[string]string{"app.yaml": "# \x1b[2J\x1b]0;owned\x07\n" + aPolicy})
	if out := want(t, exitFailed, "", "policy", "diff", "@1", src, "--store", "dir:"+at); strings.ContainsAny(out, "\x1b\x07") {
		t.Errorf("printed %q", out)
	}
}

// "usage, or a file or version that cannot be read" has an exit code of its own, and is not taken for a difference.
func TestDiffOfAVersionThatIsNotThereIsNoDifference(t *testing.T) {
	t.Setenv("SLUICE_CONFIG", "")
	dir := t.TempDir()
	src, store, key := filepath.Join(dir, "src"), "dir:"+filepath.Join(dir, "store"), filepath.Join(dir, "k")
	writeAt(t, filepath.Join(src, "app.yaml"), aPolicy)
	want(t, exitOK, "public key: ", "policy", "keygen", key)
	want(t, exitOK, "version 1", "policy", "publish", src, "--to", store)
	want(t, exitUsage, "not among", "policy", "diff", "@7", src, "--store", store)
	want(t, exitUsage, "not signed", "policy", "diff", "@1", src, "--store", store, "--keys", key+".pub")
	want(t, exitUsage, "not signed", "policy", "diff", "@head", src, "--store", store, "--keys", key+".pub")
}

// docs/runbooks/SluicePolicyExpires.md: a rollback to the present version, which has expired.
func TestRollbackToThePresentOne(t *testing.T) {
	t.Setenv("SLUICE_CONFIG", "")
	dir := t.TempDir()
	src, store, key := filepath.Join(dir, "src"), "dir:"+filepath.Join(dir, "store"), filepath.Join(dir, "k")
	writeAt(t, filepath.Join(src, "app.yaml"), aPolicy)
	want(t, exitOK, "public key: ", "policy", "keygen", key)
	want(t, exitOK, "version 1", "policy", "publish", src, "--to", store, "--key", key, "--expires", "1ms") // it has expired by the next command
	want(t, exitUsage, "the present version expires, and this one would not", "policy", "rollback", "1", "--store", store, "--key", key)
	want(t, exitUsage, "the present version expires, and this one would not", "policy", "publish", src, "--to", store, "--key", key)
	want(t, exitOK, "version 2", "policy", "rollback", "1", "--store", store, "--key", key, "--expires", "720h")
	// by who forged the head with a low number
	forged := `{"version":1,"objects":{"a.yaml":"` + hexSum("x") + `"}}` + "\n"
	if err := os.WriteFile(filepath.Join(dir, "store", "head"), []byte(forged), 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, exitOK, "2        ", "policy", "history", "--store", store, "--keys", key+".pub")
	want(t, exitOK, "published version 3", "policy", "rollback", "2", "--store", store, "--keys", key+".pub", "--key", key, "--number", "3", "--expires", "0s")
}

// An empty file that is new is a difference that is shown.
func TestDiffShowsAnEmptyFile(t *testing.T) {
	t.Setenv("SLUICE_CONFIG", "")
	dir := t.TempDir()
	writeAt(t, filepath.Join(dir, "a", "app.yaml"), aPolicy)
	writeAt(t, filepath.Join(dir, "b", "app.yaml"), aPolicy)
	writeAt(t, filepath.Join(dir, "b", "new.yaml"), "")
	want(t, exitFailed, "new.yaml", "policy", "diff", filepath.Join(dir, "a"), filepath.Join(dir, "b"))
}
