package replica

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Sluice launches this proxy.
type Sluice struct {
	Binary string
	Env    []string
}

// Name of the proxy.
func (Sluice) Name() string { return "sluice" }

// Raw says that it carries raw TCP.
func (Sluice) Raw() bool { return true }

// HTTP2 implements Launcher.
func (Sluice) HTTP2() bool { return true }

// Version asks the binary.
func (l Sluice) Version(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, l.Binary, "version").Output()
	if err != nil {
		return "", fmt.Errorf("sluice: %w", err)
	}
	return strings.TrimSpace(strings.TrimPrefix(string(out), "sluice ")), nil
}

// sluice is one replica.
type sluice struct {
	Sluice
	spec     Spec
	p        *Process
	timeline Timeline
	current  atomic.Int64 // pid of who serves
	// upgrading: phases in the log are those of the process that leaves, and not of the replica.
	upgrading atomic.Bool
	delayed   *time.Timer // puts the policy in place; nil: it is there
}

func (in *sluice) file(name string) string { return filepath.Join(in.spec.Dir, name) }

// Start writes the configuration and starts the process.
func (l Sluice) Start(_ context.Context, s Spec) (Instance, error) {
	in := &sluice{Sluice: l, spec: s}
	if err := os.WriteFile(in.file("sluice.yaml"), []byte(in.config()), 0o600); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(in.file("policy"), 0o700); err != nil {
		return nil, err
	}
	if s.SyncDelay == 0 {
		if err := in.writePolicy(); err != nil {
			return nil, err
		}
	}
	in.timeline.Enter(Starting, time.Now())
	var err error
	in.p, err = Launch(s.Dir, l.Env, in.see, l.Binary, "run", "--config", in.file("sluice.yaml"), "--receipt", in.file("receipt.json"))
	if err != nil {
		return nil, err
	}
	in.current.Store(int64(in.p.PID()))
	if s.SyncDelay > 0 {
		in.delayed = time.AfterFunc(s.SyncDelay, func() { _ = in.writePolicy() })
	}
	return in, nil
}

func (in *sluice) config() string {
	s := in.spec
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nlisteners:\n- {name: web, address: %q}\n", s.Web)
	if s.Raw != "" {
		fmt.Fprintf(&b, "- {name: raw, address: %q, protocol: tcp}\n", s.Raw)
	}
	if s.Hold {
		b.WriteString("start: {mode: hold}\n")
	}
	stop := 2*s.LameDuck + s.Drain + 10*time.Second
	fmt.Fprintf(&b, `policy: {dir: %q, poll: 1s}
probes: {address: %q}
admin: {address: "unix:%s"}
lame_duck: {min: %v, max: %v, quiet: %v}
drain: {timeout: %v, idle_close: %v, flush: 1s}
platform: {stop_timeout: %v}
upgrade: {take_back: 300ms}
log: {format: json, access: false}
`, in.file("policy"), s.Probe, in.file("admin.sock"), s.LameDuck, 2*s.LameDuck, s.LameDuck/4, s.Drain, min(5*time.Second, s.Drain/2), stop)
	return b.String()
}

// writePolicy puts it in place in one step.
func (in *sluice) writePolicy() error {
	s := in.spec
	text := fmt.Sprintf("clusters: {app: {endpoints: [%q]}, calls: {endpoints: [%[1]q], protocol: http2}", s.UpstreamWeb)
	if s.Raw != "" {
		text += fmt.Sprintf(", echo: {endpoints: [%q]}", s.UpstreamRaw)
	}
	text += "}\nroutes: [{name: app, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}, " +
		"{name: calls, path: {prefix: /lab.Echo}, cluster: calls, policy: [{allow: {and: [{accept: true}]}}]}]\n"
	if s.Raw != "" {
		text += "tcp_routes: [{listener: raw, cluster: echo, policy: [{allow: {and: [{accept: true}]}}]}]\n"
	}
	if err := os.WriteFile(in.file("policy.new"), []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(in.file("policy.new"), in.file("policy/main.yaml"))
}

// BreakPolicy takes the source of the policy away.
func (in *sluice) BreakPolicy() error { return os.Rename(in.file("policy"), in.file("policy.away")) }

// RestorePolicy gives it back.
func (in *sluice) RestorePolicy() error { return os.Rename(in.file("policy.away"), in.file("policy")) }

// see reads phases from the log, with the times of who wrote it.
func (in *sluice) see(line string) {
	var r struct {
		Time time.Time `json:"time"`
		Msg  string    `json:"msg"`
	}
	if in.upgrading.Load() || json.Unmarshal([]byte(line), &r) != nil {
		return
	}
	switch {
	case r.Msg == "serving":
		in.timeline.Enter(Ready, r.Time)
	case strings.HasPrefix(r.Msg, "lame duck"):
		in.timeline.Enter(LameDuck, r.Time)
	case strings.HasPrefix(r.Msg, "draining:"):
		in.timeline.Enter(Draining, r.Time)
	}
}

func (in *sluice) Ready() string       { return "http://" + in.spec.Probe + "/readyz" }
func (in *sluice) Timeline() *Timeline { return &in.timeline }
func (in *sluice) Tail() string        { return in.p.Tail() }
func (in *sluice) Ended() bool         { return !Alive(int(in.current.Load())) }

func (in *sluice) cli(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, in.Binary, append(args, "-c", in.file("sluice.yaml"))...)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("sluice %s: %w: %s", args[0], err, strings.TrimSpace(said.String()))
	}
	return out, nil
}

// Identity asks who answers.
func (in *sluice) Identity(ctx context.Context) (id Identity, err error) {
	out, err := in.cli(ctx, "status", "--json")
	if err != nil {
		return id, err
	}
	err = json.Unmarshal(out, &id) // pid and generation have the same names there
	id.Started = time.Time{}
	return id, err
}

// Stop is SIGTERM.
func (in *sluice) Stop(ctx context.Context) error {
	in.timeline.Enter(LameDuck, time.Now())
	pid := int(in.current.Load())
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	if err := in.await(ctx, pid); err != nil {
		return err
	}
	in.timeline.Enter(Gone, time.Now())
	in.p.Release()
	return nil
}

// await waits until a process of the line is gone.
func (in *sluice) await(ctx context.Context, pid int) error {
	if pid == in.p.PID() {
		return in.p.Wait(ctx)
	}
	return AwaitGone(ctx, pid)
}

// Upgrade is `sluice upgrade`; it returns when the old process is gone.
func (in *sluice) Upgrade(ctx context.Context) error {
	in.upgrading.Store(true)
	defer in.upgrading.Store(false)
	if _, err := in.cli(ctx, "upgrade"); err != nil {
		return err
	}
	id, err := in.Identity(ctx)
	if err != nil {
		return err
	}
	old := int(in.current.Swap(int64(id.PID)))
	return in.await(ctx, old)
}

// Kill ends every process of the line.
func (in *sluice) Kill() error {
	if in.delayed != nil {
		in.delayed.Stop()
	}
	now := time.Now()
	if pid := int(in.current.Load()); pid != in.p.PID() {
		End(pid, syscall.SIGKILL, 5*time.Second)
	}
	in.p.Kill()
	in.timeline.Enter(Gone, now)
	return nil
}
