package httpprobe_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/health/httpprobe"
)

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func registry() *health.Registry {
	return health.NewRegistry(health.Config{Now: func() time.Time { return noon }})
}

// answer is what a client got.
type answer struct {
	code   int
	header http.Header
	body   string
}

func get(h http.Handler, target string, accept ...string) answer {
	return ask(h, http.MethodGet, target, accept...)
}

func ask(h http.Handler, method, target string, accept ...string) answer {
	r := httptest.NewRequest(method, target, nil)
	for _, a := range accept {
		r.Header.Add("Accept", a)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	res := w.Result()
	b, _ := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(b)}
}

// The table of DESIGN 3: what each probe says in each state of the process.
func TestCodesByState(t *testing.T) {
	for _, w := range []struct {
		state                         health.Process
		startup, ready, serving, live int
	}{
		{health.ProcessStarting, 503, 503, 503, 200},
		{health.ProcessServing, 200, 200, 200, 200},
		{health.ProcessLameDuck, 200, 503, 200, 200},
		{health.ProcessDraining, 200, 503, 503, 200},
		{health.ProcessDrained, 200, 503, 503, 200},
		{health.ProcessStopped, 200, 503, 503, 503},
		{health.ProcessFailed, 200, 503, 503, 503},
	} {
		r := registry()
		if w.state != health.ProcessStarting {
			r.SetProcess(health.ProcessServing, "")
			r.SetProcess(w.state, "")
		}
		h := httpprobe.New(r, health.OurNames)
		for path, want := range map[string]int{
			"/startupz": w.startup, "/readyz": w.ready, "/servingz": w.serving,
			"/livez": w.live, "/healthz": w.live, "/status": 200,
		} {
			got := get(h, path)
			if got.code != want {
				t.Errorf("%v: %s is %d, want %d", w.state, path, got.code, want)
			}
			if path != "/status" && want == 200 && got.body != "ok\n" {
				t.Errorf("%v: %s says %q, want ok", w.state, path, got.body)
			}
			if path != "/status" && want == 503 && !strings.Contains(got.body, w.state.String()) {
				t.Errorf("%v: %s says %q, which does not name the state", w.state, path, got.body)
			}
		}
	}
}

func TestBodyNamesCheckReasonAndSince(t *testing.T) {
	r := registry()
	r.Declare(health.PolicySyncInitial, health.Required)
	r.SetProcess(health.ProcessStarting, "waiting for init targets")
	r.Set(health.PolicySyncInitial, health.Starting, errors.New("open /etc/policy:\nno such file"))
	got := get(httpprobe.New(r, health.OurNames), "/readyz")
	want := "not ready: Starting since 2030-01-01T12:00:00Z (waiting for init targets); " +
		"policy.sync.initial STARTING since 2030-01-01T12:00:00Z: open /etc/policy: no such file\n"
	if got.body != want {
		t.Errorf("got  %q\nwant %q", got.body, want)
	}
}

func TestHeaders(t *testing.T) {
	r := registry()
	h := httpprobe.New(r, health.OurNames)
	for _, target := range []string{"/readyz", "/livez", "/status", "/nothing", "/readyz?verbose"} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			got := ask(h, method, target)
			want := "text/plain; charset=utf-8"
			if method != "POST" && (target == "/status" || target == "/readyz?verbose") {
				want = "application/json"
			}
			if ct := got.header.Get("Content-Type"); ct != want {
				t.Errorf("%s %s: content type %q, want %q", method, target, ct, want)
			}
			if cc := got.header.Get("Cache-Control"); cc != "no-store" {
				t.Errorf("%s %s: cache control %q", method, target, cc)
			}
			if method == "HEAD" && got.body != "" {
				t.Errorf("HEAD %s has a body: %q", target, got.body)
			}
			if n := got.header.Get("Content-Length"); method == "GET" && n != fmt.Sprint(len(got.body)) {
				t.Errorf("%s: length %s of a body of %d bytes", target, n, len(got.body))
			}
		}
	}
	if head, get := ask(h, "HEAD", "/readyz"), get(h, "/readyz"); head.code != get.code ||
		head.header.Get("Content-Length") != get.header.Get("Content-Length") {
		t.Errorf("HEAD %d %v, GET %d %v", head.code, head.header, get.code, get.header)
	}
}

func TestOtherMethodsAreRefused(t *testing.T) {
	h := httpprobe.New(registry(), health.OurNames)
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND"} {
		got := ask(h, method, "/livez")
		if got.code != 405 || got.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, Allow %q", method, got.code, got.header.Get("Allow"))
		}
	}
}

// An untidy path is no probe, and no reason to send a client elsewhere.
func TestNeverRedirects(t *testing.T) {
	h := httpprobe.New(registry(), health.OurNames)
	for _, target := range []string{"/", "/readyz/", "//readyz", "/./livez", "/status/x", "/READYZ", "/readyz%00"} {
		if got := get(h, target); got.code != 404 || got.header.Get("Location") != "" {
			t.Errorf("%s: %d to %q, want 404", target, got.code, got.header.Get("Location"))
		}
	}
}

func TestExclude(t *testing.T) {
	r := registry()
	for _, name := range []string{health.PolicySyncInitial, health.ProxyRoute} {
		r.Declare(name, health.Required)
	}
	r.SetProcess(health.ProcessServing, "")
	for _, w := range []struct {
		names  health.Naming
		target string
		want   int
	}{
		{health.OurNames, "/readyz", 503},
		{health.OurNames, "/readyz?exclude=policy.sync.initial", 503},
		{health.OurNames, "/readyz?exclude=policy.sync.initial&exclude=proxy.route", 200},
		{health.OurNames, "/readyz?exclude=policy.sync.initial&exclude=proxy.rout", 503},
		{health.OurNames, "/readyz?exclude=databroker.sync.initial&exclude=proxy.route", 503},
		{health.PomeriumNames, "/readyz?exclude=databroker.sync.initial&exclude=proxy.route", 200},
		{health.OurNames, "/readyz?" + strings.Repeat("exclude=x&", 32) + "exclude=policy.sync.initial&exclude=proxy.route", 503},
	} {
		if got := get(httpprobe.New(r, w.names), w.target); got.code != w.want {
			t.Errorf("%v %s: %d, want %d: %s", w.names, w.target, got.code, w.want, got.body)
		}
	}
}

func TestJSON(t *testing.T) {
	r := registry()
	r.Declare(health.PolicySyncInitial, health.Required)
	r.Declare(health.StorageBackend, health.Degradable)
	r.Set(health.PolicySyncInitial, health.Starting, errors.New("no such file"))
	r.Set(health.StorageBackend, health.Failed, nil)
	h := httpprobe.New(r, health.PomeriumNames)
	const want = `{"probe":"ready","ok":false,"process":{"state":"starting","since":"2030-01-01T12:00:00Z","started":false},` +
		`"failing":[{"check":"databroker.sync.initial","status":"STARTING","since":"2030-01-01T12:00:00Z","error":"no such file"}],` +
		`"warnings":[{"check":"storage.backend","status":"FAILED","since":"2030-01-01T12:00:00Z"}],` +
		`"unknown_excludes":["typo"]}` + "\n"
	for _, got := range []answer{
		get(h, "/readyz?exclude=typo&verbose"),
		get(h, "/readyz?exclude=typo", "text/html, Application/JSON;q=0.9"),
		get(h, "/readyz?exclude=typo", "text/html", "application/health+json"),
	} {
		if got.code != 503 || got.body != want {
			t.Errorf("%d\ngot  %s\nwant %s", got.code, got.body, want)
		}
	}
	if got := get(h, "/readyz", "text/html", "*/*"); strings.HasPrefix(got.body, "{") {
		t.Errorf("JSON, and nobody asked: %s", got.body)
	}
}

// The form that monitoring for Pomerium already parses.
func TestStatusGolden(t *testing.T) {
	r := registry()
	r.Declare(health.PolicySyncInitial, health.Required)
	r.Declare(health.StorageBackend, health.Degradable)
	r.Set(health.PolicySyncInitial, health.Running, nil)
	r.Set(health.StorageBackend, health.Degraded, errors.New("no leader"), health.Attr{Key: "backend", Value: "etcd"})
	r.SetProcess(health.ProcessServing, "admitted")
	got := get(httpprobe.New(r, health.PomeriumNames), "/status")
	const want = `{"process":{"state":"serving","since":"2030-01-01T12:00:00Z","reason":"admitted","started":true},` +
		`"statuses":{"databroker.sync.initial":{"class":"required","status":"RUNNING","since":"2030-01-01T12:00:00Z"},` +
		`"storage.backend":{"class":"degradable","status":"DEGRADED","since":"2030-01-01T12:00:00Z","error":"no leader","attributes":[{"Key":"backend","Value":"etcd"}]}},` +
		`"checks":["databroker.sync.initial"]}` + "\n"
	if got.code != 200 || got.body != want {
		t.Errorf("%d\ngot  %s\nwant %s", got.code, got.body, want)
	}
}

// However much there is to say, it fits into what the kubelet reads, is whole JSON, and
// still names what fails.
func TestBodiesAreBounded(t *testing.T) {
	for _, checks := range []int{1, 20, 300} {
		r := registry()
		for i := range checks {
			name := fmt.Sprintf("check.%03d", i)
			r.Declare(name, health.Required)
			r.Set(name, health.Failed, errors.New(strings.Repeat("ü<", 400)), health.Attr{Key: "k", Value: strings.Repeat("v", 2000)})
		}
		r.SetProcess(health.ProcessStarting, strings.Repeat("r", 20_000))
		h := httpprobe.New(r, health.OurNames)
		for _, target := range []string{"/readyz", "/readyz?verbose", "/status"} {
			got := get(h, target)
			if len(got.body) >= httpprobe.MaxBody {
				t.Errorf("%d checks: %s has %d bytes", checks, target, len(got.body))
			}
			if target == "/readyz" {
				continue
			}
			var v struct {
				Failing   []health.Reason
				Truncated bool
			}
			if err := json.Unmarshal([]byte(got.body), &v); err != nil || v.Truncated != (checks > 1) {
				t.Errorf("%d checks: %s: truncated %v, %v", checks, target, v.Truncated, err)
			}
			if target == "/readyz?verbose" && (len(v.Failing) == 0 || v.Failing[0].Check != "check.000") {
				t.Errorf("%d checks: %s names nothing", checks, target)
			}
		}
	}
}
