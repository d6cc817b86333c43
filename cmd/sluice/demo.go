package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/health"
)

// demoKey is known to everybody who reads this: it opens the demo and nothing else.
const demoKey = "demo-key-of-sluice"

// newDemo is the whole proxy with an upstream and a policy of its own.
func newDemo() *cobra.Command {
	var listen string
	var once bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "The whole proxy with a built-in upstream and a policy to play with",
		Long: `Run the proxy in front of a built-in upstream, with a policy that has a public
page, one that needs a key and one that nobody may see, and print what to try.
Ctrl-C drains. With --once it tries everything itself, drains and exits. Nothing is left behind.`,
		Example: `  sluice demo
  sluice demo --listen 127.0.0.1:0 --once   # a test of this machine`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			code, err := demo(cmd.Context(), listen, once, cmd.OutOrStdout())
			if err != nil {
				return fail(exitFailed, err)
			}
			if code != exitOK {
				return fail(code, nil)
			}
			return nil
		},
	}
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "where to listen")
	c.Flags().BoolVar(&once, "once", false, "try everything, then drain and exit")
	return teach(c, exits{exitOK: "drained", exitFailed: "failed", exitCut: "something was cut"}, "run", "docs/policy.md")
}

func demo(ctx context.Context, listen string, once bool, out io.Writer) (int, error) {
	dir, err := os.MkdirTemp("", "sluice-demo-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	up, err := demoUpstream()
	if err != nil {
		return 0, err
	}
	defer up.Close()
	file, err := demoFiles(dir, listen, up.Addr)
	if err != nil {
		return 0, err
	}
	o := &options{file: file}
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	cfg, err := config.Load(config.Source{Name: file, Text: text})
	if err != nil {
		return 0, err
	}
	log, logTo := openLog(os.Stderr, cfg.Log)
	defer logTo.CloseWithin(logFlush)
	a, err := newApp(cfg, o, log, out, origin{})
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	told := make(chan error, 1) // of capacity 1: the guide never waits for us
	go func() {                 // ends with ctx, or when everything was tried
		told <- guide(ctx, a, once, out)
		if once {
			cancel() // counts as SIGTERM
		}
	}()
	code := a.run(ctx)
	cancel()
	if err := <-told; err != nil && once {
		return code, err
	}
	return code, nil
}

// demoServer is the built-in upstream: it says who it thinks is calling.
type demoServer struct {
	*http.Server
	Addr string
}

func demoUpstream() (*demoServer, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			select {
			case <-time.After(5 * time.Second):
			case <-r.Context().Done():
				return
			}
		}
		user := r.Header.Get("X-Sluice-User")
		if user == "" {
			user = "nobody in particular"
		}
		fmt.Fprintf(w, "hello %s, this is the upstream; you asked for %s\n", user, r.URL.Path)
	})}
	go s.Serve(ln) // ends with Close
	return &demoServer{s, ln.Addr().String()}, nil
}

// demoFiles writes the configuration, the policy and the keys.
func demoFiles(dir, listen, up string) (string, error) {
	sum := sha256.Sum256([]byte(demoKey))
	files := map[string]string{
		"sluice.yaml": fmt.Sprintf(`version: 1
listeners: [{name: web, address: %q}]
policy: {dir: %q}
authenticate: {api_key: {file: %q}}
lame_duck: {min: 1s, max: 2s, quiet: 500ms, notice_after: 500ms}
probes: {address: "127.0.0.1:9902"}
admin: {address: "unix:%s"}
log: {access: false}
`, listen, filepath.Join(dir, "policy"), filepath.Join(dir, "keys.yaml"), filepath.Join(dir, "admin.sock")),
		"keys.yaml": fmt.Sprintf("keys:\n- {id: demo, sha256: %s, user: ada, groups: [engineers]}\n", hex.EncodeToString(sum[:])),
		"policy/demo.yaml": fmt.Sprintf(`clusters: {app: {endpoints: [%q]}}
routes:
- name: public
  path: {prefix: /}
  cluster: app
  policy: [{allow: {and: [{accept: true}]}}]
- name: private
  path: {prefix: /private}
  cluster: app
  authenticate: [api_key]
  policy: [{allow: {and: [{groups: {has: engineers}}]}}]
- name: secret
  path: {prefix: /secret}
  cluster: app
  authenticate: [api_key]
  policy: [{allow: {and: [{groups: {has: admins}}]}}]
`, up),
	}
	if err := os.Mkdir(filepath.Join(dir, "policy"), 0o755); err != nil {
		return "", err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	return filepath.Join(dir, "sluice.yaml"), nil
}

// guide waits until the proxy is ready, prints what to try and, with once, tries it.
func guide(ctx context.Context, a *app, once bool, out io.Writer) error {
	ready := make(chan struct{})
	sub := a.registry.Attach(&readiness{registry: a.registry, ready: ready})
	defer sub.Detach()
	select {
	case <-ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	addr := a.server.Addr("web").String()
	tries := []struct {
		what, path, key string
		want            int
	}{
		{"anybody may see this", "/", "", 200},
		{"this needs a key", "/private", "", 401},
		{"with the key", "/private", demoKey, 200},
		{"with the key, and not enough", "/secret", demoKey, 403},
	}
	var b bytes.Buffer
	fmt.Fprintln(&b, "\nSluice is ready. Try, in another terminal:")
	for _, t := range tries {
		fmt.Fprintf(&b, "  curl -i%s http://%s%s    # %d: %s\n", keyFlag(t.key), addr, t.path, t.want, t.what)
	}
	fmt.Fprintf(&b, "  curl http://%s/slow & sleep 1; kill %d    # the slow one finishes before the proxy exits\n", addr, os.Getpid())
	fmt.Fprintf(&b, "  curl -i http://127.0.0.1:9902/readyz    # what balancers see\nCtrl-C drains and exits.\n\n")
	if _, err := out.Write(b.Bytes()); err != nil || !once {
		return err
	}
	for _, t := range tries {
		got, err := try(ctx, "http://"+addr+t.path, t.key)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%d  GET %s (%s)\n", got, t.path, t.what)
		if got != t.want {
			return fmt.Errorf("demo: GET %s answered %d, want %d", t.path, got, t.want)
		}
	}
	return nil
}

func keyFlag(key string) string {
	if key == "" {
		return ""
	}
	return " -H 'X-Api-Key: " + key + "'"
}

func try(ctx context.Context, url, key string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return 0, err
	}
	if key != "" {
		req.Header.Set("X-Api-Key", key)
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, err
}

// readiness closes ready once the process is ready. It is a health.Provider.
type readiness struct {
	registry *health.Registry
	ready    chan struct{} // closed once, by Deliver
	done     bool          // only Deliver touches it, one call at a time
}

func (r *readiness) Deliver(health.Change) {
	if !r.done && r.registry.Snapshot().Verdict(health.Ready).OK {
		r.done = true
		close(r.ready)
	}
}
