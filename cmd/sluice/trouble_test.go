package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What the operating system itself refuses has its word, through whatever it is wrapped in.
func TestTroubles(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, inUse := net.Listen("tcp", ln.Addr().String())
	_, elsewhere := net.Listen("tcp", "192.0.2.1:0") // TEST-NET-1, RFC 5737: nobody's
	_, missing := os.ReadFile(filepath.Join(t.TempDir(), "none.yaml"))
	_, dial := net.Dial("tcp", "127.0.0.1:1")
	for _, tt := range []struct {
		err  error
		want trouble
	}{
		{inUse, addressInUse},
		{elsewhere, addressElsewhere},
		{&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EACCES)}, addressForbidden},
		{missing, fileMissing},
		{&os.PathError{Op: "open", Path: "key", Err: syscall.EACCES}, fileForbidden},
		{&os.PathError{Op: "open", Path: "key", Err: syscall.EMFILE}, noDescriptors},
		{&os.PathError{Op: "write", Path: "policy.json", Err: syscall.ENOSPC}, diskFull},
		{dial, noTrouble},
		{errors.New("something else"), noTrouble},
		{nil, noTrouble},
	} {
		if got := troubleOf(tt.err); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.err, got, tt.want)
		}
		if tt.err == nil {
			continue
		}
		wrapped := fail(exitFailed, errors.Join(fmt.Errorf("start proxy: listener main: %w", tt.err), errors.New("and more")))
		if got := troubleOf(wrapped); got != tt.want {
			t.Errorf("wrapped %v: %q, want %q", tt.err, got, tt.want)
		}
	}
}
