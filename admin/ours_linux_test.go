package admin

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"testing"
	"time"

	sys "golang.org/x/sys/unix"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/lifecycle/handover"
)

// A stranger's connection is closed before it takes a place; our own is served.
func TestControlTakesOurUserOnly(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	m := newElder(t, 1).control.Member()
	ask := func() (string, error) {
		c, err := net.Dial("unix", m.Control)
		if err != nil {
			return "", err
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = fmt.Fprintf(c, "GET /drain HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer %s\r\n\r\n", m.Secret)
		all, _ := io.ReadAll(c)
		return string(all), nil
	}
	if got, err := ask(); err != nil || got == "" {
		t.Errorf("root got %q, %v", got, err)
	}
	// connect(2) takes the credentials of the thread, and this one is not used again.
	type answer struct {
		got string
		err error
	}
	done := make(chan answer)
	go func() { // ends with its answer; the thread ends with it
		runtime.LockOSThread()
		if _, _, errno := sys.RawSyscall(sys.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			done <- answer{"", errno}
			return
		}
		got, err := ask()
		done <- answer{got, err}
	}()
	if a := <-done; a.err != nil || a.got != "" {
		t.Errorf("a stranger got %q, %v", a.got, a.err)
	}
}

// A question that failed is asked again: a generation is gone when its socket is.
func TestAQuestionThatFailedIsAskedAgain(t *testing.T) {
	ln, err := net.Listen("unix", fmt.Sprintf("@sluice-test-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	go func() { // ends with ln
		if c, err := ln.Accept(); err == nil {
			_ = c.Close()
		}
		_ = http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			reply(w, http.StatusOK, drain.Receipt{Schema: 1})
		}))
	}()
	defer ln.Close()
	left := make(chan int, 1)
	g := NewGenerations([]handover.Member{{Generation: 1, PID: 1, Control: ln.Addr().String()}}, func(n int) { left <- n }, nil)
	if err := g.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	<-left
	if got := g.List(t.Context()); got[0].State != generationDrained {
		t.Errorf("%+v", got[0])
	}
}
