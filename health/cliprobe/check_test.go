package cliprobe_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/health/cliprobe"
	"github.com/sluiceproxy/sluice/health/httpprobe"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// check runs Check and returns what it left.
func check(t *testing.T, o cliprobe.Options) (exit int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	exit = cliprobe.Check(t.Context(), o, &out, &errs)
	return exit, out.String(), errs.String()
}

// serve answers on loopback of one family and returns the port.
func serve(t *testing.T, address string, h http.Handler) (port string) {
	t.Helper()
	ln, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("%s: %v", address, err)
	}
	s := httptest.NewUnstartedServer(h)
	s.Listener.Close()
	s.Listener = ln
	s.Start()
	t.Cleanup(s.Close)
	_, port, _ = net.SplitHostPort(ln.Addr().String())
	return port
}

func registry(status health.Status, err error) *health.Registry {
	noon := time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)
	r := health.NewRegistry(health.Config{Now: func() time.Time { return noon }})
	r.Declare(health.PolicySyncInitial, health.Required)
	r.Set(health.PolicySyncInitial, status, err)
	r.SetProcess(health.ProcessServing, "")
	return r
}

func TestAnswers(t *testing.T) {
	well := serve(t, "127.0.0.1:0", httpprobe.New(registry(health.Running, nil), health.OurNames))
	ill := serve(t, "127.0.0.1:0", httpprobe.New(registry(health.Failed, errors.New("no such file")), health.OurNames))
	const no = "not ready: Serving since 2030-01-01T12:00:00Z; policy.sync.initial FAILED since 2030-01-01T12:00:00Z: no such file"
	for _, w := range []struct {
		name           string
		o              cliprobe.Options
		exit           int
		stdout, stderr string
	}{
		{"yes", cliprobe.Options{Address: ":" + well, Probe: health.Ready}, 0, "ok\n", ""},
		{"no", cliprobe.Options{Address: ":" + ill, Probe: health.Ready}, 1, "", no + "\n"},
		{"another probe", cliprobe.Options{Address: ":" + ill, Probe: health.Live}, 0, "ok\n", ""},
		{"excluded", cliprobe.Options{Address: ":" + ill, Probe: health.Ready, Exclude: []string{"policy.sync.initial"}}, 0, "ok\n", ""},
		{"typo", cliprobe.Options{Address: ":" + ill, Probe: health.Ready, Exclude: []string{"policy.sync"}}, 1, "",
			no + "; no check is called \"policy.sync\"\n"},
		{"no such probe", cliprobe.Options{Address: ":" + well, Probe: 99}, 1, "", "there is no probe Probe(99)\n"},
		{"no port", cliprobe.Options{Address: "localhost"}, 1, "", "address \"localhost\" of the probes is not host:port; see probes.address\n"},
		{"no address", cliprobe.Options{}, 1, "", "address \"\" of the probes is not host:port; see probes.address\n"},
	} {
		exit, stdout, stderr := check(t, w.o)
		if exit != w.exit || stdout != w.stdout || stderr != w.stderr {
			t.Errorf("%s: exit %d, stdout %q, stderr %q; want %d, %q, %q", w.name, exit, stdout, stderr, w.exit, w.stdout, w.stderr)
		}
	}
}

// An address that is every address is asked at loopback, of whichever family listens.
func TestUnspecifiedMeansLoopbackOfEitherFamily(t *testing.T) {
	h := httpprobe.New(registry(health.Running, nil), health.OurNames)
	for _, bound := range []string{"127.0.0.1:0", "[::1]:0"} {
		port := serve(t, bound, h)
		for _, host := range []string{"", "0.0.0.0", "[::]"} {
			exit, _, stderr := check(t, cliprobe.Options{Address: host + ":" + port, Probe: health.Ready})
			if exit != 0 {
				t.Errorf("bound to %s, asked at %s: %s", bound, host, stderr)
			}
		}
	}
}

func TestJSON(t *testing.T) {
	ill := serve(t, "127.0.0.1:0", httpprobe.New(registry(health.Failed, nil), health.OurNames))
	for _, w := range []struct {
		address string
		reason  string
	}{{":" + ill, "policy.sync.initial"}, {"nowhere", "not host:port"}} {
		exit, stdout, stderr := check(t, cliprobe.Options{Address: w.address, Probe: health.Ready, JSON: true})
		var v struct{ OK *bool }
		if err := json.Unmarshal([]byte(stdout), &v); err != nil || v.OK == nil || *v.OK {
			t.Errorf("%s: stdout %q, %v", w.address, stdout, err)
		}
		if exit != 1 || !strings.Contains(stdout, w.reason) || !strings.Contains(stderr, w.reason) {
			t.Errorf("%s: exit %d, stdout %q, stderr %q", w.address, exit, stdout, stderr)
		}
	}
}

// Whoever answers on that port, only sluice itself can say yes.
func TestOnlyOursCounts(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"ok of another":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok\n") },
		"another's JSON": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"ok":true}`) },
		"another probe":  func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"probe":"live","ok":true}`) },
		"code against body": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(503)
			fmt.Fprint(w, `{"probe":"ready","ok":true}`)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/livez", http.StatusFound) },
		"cut short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99")
			fmt.Fprint(w, `{"probe":"ready","ok":true}`)
		},
		"without end":        func(w http.ResponseWriter, _ *http.Request) { w.Write(bytes.Repeat([]byte("x"), 1<<20)) },
		"nothing and goodby": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		port := serve(t, "127.0.0.1:0", h)
		exit, stdout, stderr := check(t, cliprobe.Options{Address: "127.0.0.1:" + port, Probe: health.Ready})
		if exit != 1 || stdout != "" || stderr == "" || len(stderr) > 300 {
			t.Errorf("%s: exit %d, stdout %q, stderr %.300q", name, exit, stdout, stderr)
		}
	}
}

// nobody refuses every dial and notes when.
type nobody struct {
	began time.Time
	at    []time.Duration
}

func (n *nobody) dial(context.Context, string, string) (net.Conn, error) {
	n.at = append(n.at, time.Since(n.began))
	return nil, errors.New("connection refused")
}

func TestWaitAsksAgainAtGrowingIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &nobody{began: time.Now()}
		exit, _, stderr := check(t, cliprobe.Options{Address: "192.0.2.1:9902", Wait: 10 * time.Second, Dial: n.dial})
		if took := time.Since(n.began); exit != 1 || took != 10*time.Second {
			t.Errorf("exit %d after %v", exit, took)
		}
		want := "[0s 100ms 300ms 700ms 1.5s 3.1s 5.1s 7.1s 9.1s]"
		if got := fmt.Sprint(n.at); got != want {
			t.Errorf("asked at %s, want %s", got, want)
		}
		if want := "no answer from 192.0.2.1:9902: connection refused\n"; stderr != want {
			t.Errorf("stderr %q, want %q", stderr, want)
		}
	})
}

func TestWithoutWaitItAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &nobody{began: time.Now()}
		exit, _, stderr := check(t, cliprobe.Options{Address: ":9902", Dial: n.dial})
		if exit != 1 || len(n.at) != 2 || time.Since(n.began) != 0 { // once for each family
			t.Errorf("exit %d, asked at %v", exit, n.at)
		}
		if strings.Count(stderr, "\n") != 1 {
			t.Errorf("stderr is not one line: %q", stderr)
		}
	})
}

// A server that accepts and says nothing is a no, in time.
func TestSilenceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var theirs []net.Conn
		silent := func(context.Context, string, string) (net.Conn, error) {
			ours, other := net.Pipe()
			theirs = append(theirs, other)
			go func() { // ends when the attempt closes its side
				b := make([]byte, 4096)
				for {
					if _, err := other.Read(b); err != nil {
						return
					}
				}
			}()
			return ours, nil
		}
		began := time.Now()
		exit, _, stderr := check(t, cliprobe.Options{Address: ":9902", Dial: silent})
		if took := time.Since(began); exit != 1 || took != cliprobe.DefaultTimeout {
			t.Errorf("exit %d after %v", exit, took)
		}
		if want := "no answer from 127.0.0.1:9902 within 3s\n"; stderr != want {
			t.Errorf("stderr %q, want %q", stderr, want)
		}
		began = time.Now()
		exit, _, _ = check(t, cliprobe.Options{Address: ":9902", Dial: silent, Wait: 7 * time.Second})
		if took := time.Since(began); exit != 1 || took != 7*time.Second || len(theirs) != 4 {
			t.Errorf("exit %d after %v and %d attempts", exit, took, len(theirs))
		}
	})
}

// pipes is a listener of net.Pipe ends, so that a server can live in the bubble.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p pipes) Close() error { close(p.done); return nil }
func (pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func TestWaitEndsWithYes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := health.NewRegistry(health.Config{})
		p := pipes{make(chan net.Conn), make(chan struct{})}
		s := &http.Server{Handler: httpprobe.New(r, health.OurNames)}
		ended := make(chan error)
		go func() { ended <- s.Serve(p) }() // ends by Close, joined below
		go func() {
			time.Sleep(5 * time.Second)
			r.SetProcess(health.ProcessServing, "admitted")
		}()
		began := time.Now()
		exit, stdout, stderr := check(t, cliprobe.Options{
			Address: ":9902", Probe: health.Ready, Wait: time.Minute,
			Dial: func(context.Context, string, string) (net.Conn, error) {
				ours, theirs := net.Pipe()
				p.conns <- theirs
				return ours, nil
			},
		})
		if took := time.Since(began); exit != 0 || stdout != "ok\n" || stderr != "" || took < 5*time.Second || took > 8*time.Second {
			t.Errorf("exit %d, %q, %q after %v", exit, stdout, stderr, took)
		}
		s.Close()
		<-ended
	})
}

// Every probe is asked where package httpprobe answers it.
func TestPathsAreThoseOfTheServer(t *testing.T) {
	for _, p := range []health.Probe{health.Startup, health.Ready, health.Serving, health.Live} {
		var asked string
		port := serve(t, "127.0.0.1:0", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked = r.URL.Path }))
		check(t, cliprobe.Options{Address: ":" + port, Probe: p})
		if want := httpprobe.Path(p); asked != want {
			t.Errorf("%v is asked at %q, want %q", p, asked, want)
		}
	}
}
