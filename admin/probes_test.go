package admin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/health/httpprobe"
	"github.com/sluiceproxy/sluice/lifecycle"
)

var (
	_ lifecycle.Service = (*Probes)(nil)
	_ lifecycle.Service = (*Server)(nil)
)

// startProbes serves on a free port.
func startProbes(t *testing.T, cfg ProbesConfig) *Probes {
	t.Helper()
	cfg.Address = "127.0.0.1:0"
	if cfg.Health == nil {
		cfg.Health = health.NewRegistry(health.Config{})
	}
	p := NewProbes(cfg)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// fetch asks over a connection of its own.
func fetch(t *testing.T, address net.Addr, path string) (code int, body string) {
	t.Helper()
	tr := &http.Transport{DisableKeepAlives: true}
	r, _ := http.NewRequest("GET", "http://"+address.String()+path, nil)
	res, err := tr.RoundTrip(r)
	if err != nil {
		t.Errorf("get %s: %v", path, err)
		return 0, ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("get %s: %v", path, err)
	}
	return res.StatusCode, string(b)
}

// G5: it tells the story to the end.
func TestProbesAnswerUntilClose(t *testing.T) {
	r := health.NewRegistry(health.Config{})
	p := startProbes(t, ProbesConfig{Health: r, Metrics: NewMetrics(Sources{Health: r.Snapshot})})
	want := func(state, path string, code int) {
		t.Helper()
		if got, body := fetch(t, p.Addr(), path); got != code {
			t.Errorf("%s: %s is %d, want %d: %s", state, path, got, code, body)
		}
	}
	want("starting", "/readyz", 503)
	r.SetProcess(health.ProcessServing, "")
	p.Admit()
	want("serving", "/readyz", 200)
	r.SetProcess(health.ProcessLameDuck, "")
	p.LameDuck()
	want("lame duck", "/readyz", 503)
	want("lame duck", "/servingz", 200)
	r.SetProcess(health.ProcessDraining, "")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Drain(ended); err != nil {
		t.Error(err)
	}
	want("drained", "/readyz", 503)
	want("drained", "/livez", 200)
	want("drained", "/nothing", 404)
	if _, body := fetch(t, p.Addr(), "/metrics"); !strings.Contains(body, `sluice_lifecycle_state{state="draining"} 1`) {
		t.Errorf("metrics: %.300s", body)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", p.Addr().String()); err == nil {
		c.Close()
		t.Error("still listening after Close")
	}
	if err := p.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestMetricsAreReadOnly(t *testing.T) {
	p := startProbes(t, ProbesConfig{Metrics: NewMetrics(Sources{})})
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(func() *http.Request {
		r, _ := http.NewRequest("POST", "http://"+p.Addr().String()+"/metrics", strings.NewReader("x"))
		return r
	}())
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 405 || res.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("%d, Allow %q", res.StatusCode, res.Header.Get("Allow"))
	}
}

func TestStartNamesTheSetting(t *testing.T) {
	p := NewProbes(ProbesConfig{Health: health.NewRegistry(health.Config{}), Address: "127.0.0.1:99999"})
	if err := p.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "probes.address") {
		t.Errorf("error %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// Without Linger a drain takes no time; with it, until the last scrape or the end of the
// time, whichever comes first.
func TestLinger(t *testing.T) {
	metrics := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for _, w := range []struct {
		name     string
		linger   time.Duration
		scrapeAt time.Duration // 0: never
		budget   time.Duration
		yielded  bool
		want     time.Duration
	}{
		{"none", 0, 0, time.Minute, false, 0},
		{"nobody scrapes", 5 * time.Second, 0, time.Minute, false, 5 * time.Second},
		{"a scrape ends it", 5 * time.Second, 2 * time.Second, time.Minute, false, 2 * time.Second},
		{"the budget ends it", 5 * time.Second, 0, time.Second, false, time.Second},
		{"no budget is left", 5 * time.Second, 0, -time.Second, false, 0},
		{"a successor is scraped", 5 * time.Second, 0, time.Minute, true, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := NewProbes(ProbesConfig{Health: health.NewRegistry(health.Config{}), Metrics: metrics, Linger: w.linger})
			p.setYielded(w.yielded)
			h := p.handler()
			h.ServeHTTP(nil, &http.Request{Method: "GET", URL: mustURL("/metrics")}) // earlier ones do not count
			if w.scrapeAt > 0 {
				time.AfterFunc(w.scrapeAt, func() {
					h.ServeHTTP(nil, &http.Request{Method: "GET", URL: mustURL("/metrics")})
					h.ServeHTTP(nil, &http.Request{Method: "GET", URL: mustURL("/metrics")})
				})
			}
			ctx, cancel := context.WithTimeout(t.Context(), w.budget)
			defer cancel()
			began := time.Now()
			if err := p.Drain(ctx); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took != w.want {
				t.Errorf("%s: took %v, want %v", w.name, took, w.want)
			}
			synctest.Wait()
		})
	}
}

// Silent connections cannot keep a probe out, and there are never more than the bound.
func TestCrowdIsBounded(t *testing.T) {
	p := startProbes(t, ProbesConfig{MaxConnections: 4})
	var silent []net.Conn
	for range 12 {
		c, err := net.Dial("tcp", p.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		silent = append(silent, c)
	}
	if code, _ := fetch(t, p.Addr(), "/livez"); code != 200 {
		t.Errorf("a probe got %d", code)
	}
	for i, c := range silent[:8] { // the longest silent were closed, at the latest by that probe
		c.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
			t.Errorf("connection %d: %v", i, err)
		}
	}
}

// If everybody is busy, the newcomer is closed; who was closed is not counted.
func TestCrowdChoosesWhoWaitedLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCrowd(2)
		conns := make([]net.Conn, 5)
		for i := range conns {
			ours, theirs := net.Pipe()
			defer ours.Close()
			defer theirs.Close()
			conns[i] = ours
		}
		step := func(i int, s http.ConnState, want net.Conn) {
			t.Helper()
			time.Sleep(time.Second)
			if got := c.note(conns[i], s); got != want {
				t.Errorf("connection %d %v: %v has to go, want %v", i, s, got, want)
			}
			if len(c.members) > 2 {
				t.Errorf("%d members", len(c.members))
			}
		}
		step(0, http.StateNew, nil)
		step(1, http.StateNew, nil)
		step(0, http.StateActive, nil)
		step(2, http.StateNew, conns[1]) // 0 is busy, so 1
		step(1, http.StateClosed, nil)   // its end is noticed later
		step(0, http.StateIdle, nil)     // idle for less long than 2 has been silent
		step(3, http.StateNew, conns[2]) //
		step(0, http.StateActive, nil)   //
		step(3, http.StateActive, nil)   //
		step(4, http.StateNew, conns[4]) // all are busy
		step(4, http.StateClosed, nil)   //
		step(3, http.StateClosed, nil)   //
		step(4, http.StateNew, nil)      // there is room again
	})
}

// A client that does not read holds up nothing for longer than a moment.
func TestCloseIsBounded(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	p := startProbes(t, ProbesConfig{Metrics: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(release)
	})})
	c, err := net.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
	<-entered
	began := time.Now()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
	<-release
}

// A listener that breaks is reported: the process is not to live on blind.
func TestBrokenListenerIsReported(t *testing.T) {
	broken := make(chan error, 1)
	p := startProbes(t, ProbesConfig{
		Failed: func(service string, err error) { broken <- errors.New(service + ": " + err.Error()) },
		Listen: func(context.Context, string) (net.Listener, error) { return brokenListener{}, nil },
	})
	if err := <-broken; err.Error() != "probes: out of order" {
		t.Errorf("reported %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

type brokenListener struct{}

func (brokenListener) Accept() (net.Conn, error) { return nil, errors.New("out of order") }
func (brokenListener) Close() error              { return nil }
func (brokenListener) Addr() net.Addr            { return &net.UnixAddr{Name: "x", Net: "unix"} }

func mustURL(path string) *url.URL { return &url.URL{Path: path} }

// Requests whose body never comes are answered at once, and their connections are let go:
// as many as there are places keep no probe out.
func TestBodiesThatNeverComeKeepNoProbeOut(t *testing.T) {
	w := newWeb("probes", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }), 8, nil, nil)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.start(ln)
	defer w.close()
	for range 8 {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, "GET /readyz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		_ = c.SetReadDeadline(time.Now().Add(readTimeout / 2)) // less than the body is waited for
		if all, err := io.ReadAll(c); err != nil || !strings.Contains(string(all), "200 OK") {
			t.Fatalf("%q, %v", all, err)
		}
	}
}

// A probe that was being answered at the switch must not tell that this process is not ready:
// readiness belongs to the address.
func TestAProbeAcrossTheSwitch(t *testing.T) {
	registry := health.NewRegistry(health.Config{})
	p := NewProbes(ProbesConfig{Health: registry})
	registry.SetProcess(health.ProcessServing, "admitted")
	probes := httpprobe.New(registry, health.OurNames)
	for _, c := range []struct{ path, want string }{{"/readyz", "ok: handed over"}, {"/status", "lame_duck"}} {
		p.Resume()
		w := httptest.NewRecorder()
		p.probe(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p.Yield() // as a hand-over does, before the state changes
			registry.SetProcess(health.ProcessLameDuck, "handed over")
			probes.ServeHTTP(w, r)
		}), w, httptest.NewRequest("GET", c.path, nil))
		if !strings.Contains(w.Body.String(), c.want) || c.path == "/readyz" && w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", c.path, w.Code, w.Body)
		}
	}
}
