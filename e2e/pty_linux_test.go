package e2e

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	memory "unsafe" // another word here has that name
)

// terminal makes a pseudo-terminal of 24 rows: who looks, and where the program writes.
func terminal(t *testing.T) (looks, writes *os.File) {
	t.Helper()
	looks, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	t.Cleanup(func() { _ = looks.Close() })
	var unlock, number int32
	size := struct{ rows, cols, x, y uint16 }{24, 100, 0, 0}
	for _, call := range []struct {
		request uintptr
		arg     memory.Pointer
	}{
		{syscall.TIOCSPTLCK, memory.Pointer(&unlock)}, {syscall.TIOCGPTN, memory.Pointer(&number)}, {syscall.TIOCSWINSZ, memory.Pointer(&size)},
	} {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, looks.Fd(), call.request, uintptr(call.arg)); errno != 0 {
			t.Fatal(errno)
		}
	}
	writes, err = os.OpenFile("/dev/pts/"+strconv.Itoa(int(number)), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo-terminals here: ", err)
	}
	t.Cleanup(func() { _ = writes.Close() })
	return looks, writes
}

// shows starts a program on a terminal; what it has written comes when it has ended.
func shows(t *testing.T, cmd *exec.Cmd, looks, writes *os.File) <-chan string {
	t.Helper()
	cmd.Stdout, cmd.Stderr = writes, writes
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = writes.Close()
	screen := make(chan string, 1)
	go func() { // ends when the program closes its end
		var b strings.Builder
		buf := make([]byte, 4096)
		for {
			n, err := looks.Read(buf)
			b.Write(buf[:n])
			if err != nil {
				screen <- b.String()
				return
			}
		}
	}()
	return screen
}

// TestColoursAndDrawings: both are for terminals; NO_COLOR takes the first away, TERM=dumb both.
func TestColoursAndDrawings(t *testing.T) {
	t.Parallel()
	s := serve(t, newUpstream(t), setup{lameDuck: "{min: 1s, max: 1s}"})
	for _, tt := range []struct {
		name  string
		env   []string
		draws bool
	}{
		{"a terminal", []string{"TERM=xterm", "NO_COLOR="}, true},
		{"without colours", []string{"TERM=xterm", "NO_COLOR=1"}, false},
		{"a dumb one", []string{"TERM=dumb", "NO_COLOR="}, false},
	} {
		t.Run("log on "+tt.name, func(t *testing.T) {
			looks, writes := terminal(t)
			cmd := exec.Command(built.sluice, "run", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:1", "--public", "--probes-address", s.probes, "--admin-address", "127.0.0.1:0")
			cmd.Env = append(os.Environ(), tt.env...)
			screen := shows(t, cmd, looks, writes) // the address is taken: it logs that, and fails
			if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("exit: %v, want 1", err)
			}
			if text := <-screen; strings.Contains(text, "\x1b[") != tt.draws || !strings.Contains(text, "policy") {
				t.Errorf("colours should be %v:\n%q", tt.draws, text)
			}
		})
	}
	looks, writes := terminal(t)
	cmd := exec.Command(built.sluice, "drain", "--watch", "--every", "100ms", "-c", s.file("sluice.yaml"))
	cmd.Env = append(os.Environ(), "TERM=dumb")
	screen := shows(t, cmd, looks, writes)
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("drain --watch: %v", err)
	}
	if text := <-screen; strings.Contains(text, "\x1b") || !strings.Contains(text, "lame duck") {
		t.Errorf("a dumb terminal shows:\n%q", text)
	}
}

// TestWatchOnATerminal draws a progress bar over itself.
func TestWatchOnATerminal(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{})
	quick, slow := begin(t, s.web, get("/slow?d=2s")), begin(t, s.web, get("/slow?d=4s"))
	eventually(t, "both are upstream", func() bool { return len(up.log("/slow")) == 2 })
	looks, writes := terminal(t)
	cmd := exec.Command(built.sluice, "drain", "--watch", "--every", "100ms", "-c", s.file("sluice.yaml"))
	cmd.Env = append(os.Environ(), "TERM=xterm", "NO_COLOR=1") // colours are not drawings
	screen := shows(t, cmd, looks, writes)
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t, patience); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	<-quick
	<-slow
	if err := cmd.Wait(); err != nil {
		t.Errorf("drain --watch: %v", err)
	}
	text := <-screen
	for _, want := range []string{"[---", "0 of 2 are gone", "[####", "1 of 2 are gone", "EXPECTED END", "\x1b[J", "A\x1b[J", "the proxy is gone"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q on the screen:\n%q", want, text)
		}
	}
}
