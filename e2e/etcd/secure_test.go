package etcd

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/sluiceproxy/sluice/internal/etcd/etcdtest"
)

// A server that asks for a certificate and a password: a user who may only read serves by what is published and cannot publish,
// and whoever is refused is told why.
func TestSecured(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := etcdtest.NewAuthority(t, dir, "ours"), etcdtest.NewAuthority(t, dir, "theirs")
	server, shown := ours.Issue(t, "server"), ours.Issue(t, "client")
	peer := "http://" + port(t)
	m := &member{name: "m", client: port(t)}
	m.args = []string{"-name", "m", "-dir", filepath.Join(dir, "data"), "-client", "https://" + m.client, "-peer", peer, "-advertise", peer, "-cluster", "m=" + peer,
		"-cert", server + ".crt", "-key", server + ".key", "-ca", ours.File}
	t.Cleanup(m.kill)
	m.start(t)()

	pair, err := tls.LoadX509KeyPair(shown+".crt", shown+".key")
	must(t, err)
	root, err := clientv3.New(clientv3.Config{Endpoints: []string{"https://" + m.client}, TLS: &tls.Config{RootCAs: ours.Pool, Certificates: []tls.Certificate{pair}}, Logger: zap.NewNop()})
	must(t, err)
	t.Cleanup(func() { root.Close() })
	users(t, root)

	for name, text := range map[string]string{"root": "root's", "publisher": "publisher's", "reader": "reader's", "wrong": "nobody's"} {
		must(t, os.WriteFile(filepath.Join(dir, name+".password"), []byte(text+"\n"), 0o600))
	}
	login := func(user, password, ca string) string {
		return fmt.Sprintf("etcd: {endpoints: [\"https://%s\"], ca_file: %q, cert_file: %q, key_file: %q, user: %s, password_file: %q, request_timeout: 3s}",
			m.client, ca, shown+".crt", shown+".key", user, filepath.Join(dir, password+".password"))
	}
	key := filepath.Join(dir, "publisher.key")
	command(t, 0, "public key", "policy", "keygen", key)
	policy := filepath.Join(dir, "policy")
	must(t, os.Mkdir(policy, 0o700))
	must(t, os.WriteFile(filepath.Join(policy, "a.yaml"), fmt.Appendf(nil,
		"clusters: {app: {endpoints: [%q]}}\nroutes: [{name: always, path: {exact: /always}, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}]\n", upstream(t)), 0o600))
	publish := func(code int, want, config string) {
		t.Helper()
		file := filepath.Join(dir, "publish.yaml")
		must(t, os.WriteFile(file, fmt.Appendf(nil, "version: 1\nlisteners: [{name: web, address: \"127.0.0.1:0\"}]\npolicy: {source: etcd, keys_file: %q}\n%s\n", key+".pub", config), 0o600))
		out := command(t, code, want, "policy", "publish", policy, "-c", file, "--key", key)
		for _, secret := range []string{"root's", "publisher's", "reader's", "nobody's"} {
			if strings.Contains(out, secret) {
				t.Errorf("a password is printed: %s", out)
			}
		}
	}
	publish(1, "x509: certificate signed by unknown authority", login("publisher", "publisher", theirs.File))
	publish(1, "authentication failed", login("publisher", "wrong", ours.File))
	publish(1, "may not do this (etcd.user)", login("reader", "reader", ours.File))
	publish(0, "published version 1", login("publisher", "publisher", ours.File))

	r := startReplicaOf(t, "reader", fmt.Sprintf("source: etcd, keys_file: %q", key+".pub"), login("reader", "reader", ours.File))
	r.load(t, 50*time.Millisecond)
	m.kill()
	r.await(t, "silence", func(e map[string]any) bool {
		return e["msg"] == "policy source failed" && strings.Contains(fmt.Sprint(e["err"]), "connection refused")
	})
	m.process = nil
	m.start(t)() // tokens are gone with it
	publish(0, "published version 2", login("publisher", "publisher", ours.File))
	r.await(t, "version 2", func(e map[string]any) bool { return e["msg"] == "policy in force" && fmt.Sprint(e["version"]) == "2" })
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.failed) > 0 || r.served == 0 {
		t.Errorf("%d served, went wrong: %v", r.served, r.failed)
	}
}

// users makes root, one who may write below /sluice, and one who may read there, and has the server ask who somebody is.
func users(t *testing.T, c *clientv3.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for user, kind := range map[string]clientv3.PermissionType{"publisher": clientv3.PermissionType(clientv3.PermReadWrite), "reader": clientv3.PermissionType(clientv3.PermRead)} {
		_, err := c.RoleAdd(ctx, user)
		must(t, err)
		_, err = c.RoleGrantPermission(ctx, user, "/sluice/", clientv3.GetPrefixRangeEnd("/sluice/"), kind)
		must(t, err)
		_, err = c.UserAdd(ctx, user, user+"'s")
		must(t, err)
		_, err = c.UserGrantRole(ctx, user, user)
		must(t, err)
	}
	_, err := c.UserAdd(ctx, "root", "root's")
	must(t, err)
	_, err = c.UserGrantRole(ctx, "root", "root")
	must(t, err)
	_, err = c.AuthEnable(ctx)
	must(t, err)
}

// command runs a command and looks at its exit code and for some of what it prints.
func command(t *testing.T, code int, want string, args ...string) string {
	t.Helper()
	cmd := exec.Command(built.sluice, args...)
	out, _ := cmd.CombinedOutput() // the code tells
	if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(string(out), want) {
		t.Errorf("%s: exit %d, want %d; printed\n%s\nwant in it: %s", strings.Join(args, " "), got, code, out, want)
	}
	return string(out)
}
