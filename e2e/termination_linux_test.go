package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestTerminationLog: where Kubernetes puts /dev/termination-log, the receipt is in it, within
// 4 KiB: it counts everything and names what there is room for. A mount namespace has such a
// file for this test alone.
func TestTerminationLog(t *testing.T) {
	needNamespaces(t)
	t.Parallel()
	cmd := isolated("TestTerminationLogInside", "{}")
	cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWNS
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out[:min(len(out), 20_000)])
	}
}

func TestTerminationLogInside(t *testing.T) {
	if os.Getenv(insideEnv) == "" {
		t.Skip("a piece of TestTerminationLog")
	}
	if err := loopbackUp(); err != nil {
		t.Fatal(err)
	}
	file := ownDev(t)
	const tunnels = 60
	up := newUpstream(t)
	s := serve(t, up, setup{drain: "{timeout: 1s, idle_close: 300ms}"})
	for range tunnels {
		tunnel(t, s, "raw", "")
	}
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t, patience); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	text := read(t, file)
	var r receipt
	if err := json.Unmarshal([]byte(text), &r); err != nil || len(text) > 4096 {
		t.Fatalf("%d bytes, %v: %s", len(text), err, text)
	}
	if n := r.CutTotal + r.StuckTotal; n != tunnels || len(r.Cut)+len(r.Stuck) == 0 || len(r.Cut)+len(r.Stuck) >= tunnels {
		t.Errorf("it counts %d and names %d of %d", n, len(r.Cut)+len(r.Stuck), tunnels)
	}
	obeys(t, receiptSchema, file)
}

// ownDev replaces /dev, in this mount namespace, by one with a termination log.
func ownDev(t *testing.T) (terminationLog string) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""))
	dir := t.TempDir()
	for _, name := range []string{"null", "urandom"} {
		write(t, filepath.Join(dir, name), "")
		must(syscall.Mount("/dev/"+name, filepath.Join(dir, name), "", syscall.MS_BIND, ""))
	}
	write(t, filepath.Join(dir, "termination-log"), "")
	must(syscall.Mount(dir, "/dev", "", syscall.MS_BIND|syscall.MS_REC, ""))
	t.Cleanup(func() { // or the directory cannot be removed
		_ = syscall.Unmount("/dev", syscall.MNT_DETACH)
		for _, name := range []string{"null", "urandom"} {
			_ = syscall.Unmount(filepath.Join(dir, name), syscall.MNT_DETACH)
		}
	})
	return "/dev/termination-log"
}
