package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz/session"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/proxy"
)

const secret = "0123456789abcdef0123456789abcdef"

// tokenFile writes a token.
func tokenFile(t *testing.T, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// calls notes what the hooks were asked for.
type calls struct {
	log []string
	err error
}

func (c *calls) hooks() Hooks {
	note := func(what string) error { c.log = append(c.log, what); return c.err }
	r := health.NewRegistry(health.Config{Now: func() time.Time { return noon }})
	r.Declare(health.PolicySyncInitial, health.Required)
	r.Set(health.PolicySyncInitial, health.Starting, errors.New("no such file"))
	holders := []drain.Holder{{ID: 1, Listener: "web", Peer: "192.0.2.7:4711", Class: drain.Active, Identity: "u-1"}}
	return Hooks{
		Health: r.Snapshot,
		Lifecycle: func() lifecycle.Status {
			return lifecycle.Status{State: lifecycle.LameDuck, Since: noon, Reason: "SIGTERM", Until: time.Now().Add(time.Hour), Holding: "drain proxy", NextSignal: "cuts"}
		},
		Tracker: func() drain.Stats {
			return drain.Stats{Connections: drain.ClassCounts{Active: 3}, Initial: drain.ClassCounts{Idle: 4}, Tracked: 9, RefusedShut: 1, RefusedDraining: 2, Exchanges: 8, Told: 5}
		},
		View: func(max int) drain.View {
			note(fmt.Sprint("connections ", max))
			return drain.View{Holders: slices.Clone(holders), Groups: []drain.HolderGroup{{Listener: "web", Count: 1}}}
		},
		Detail: func(_ context.Context, refs []uint64) map[uint64]proxy.Detail {
			return map[uint64]proxy.Detail{0: {Waits: "for the head of a response", Queued: 7}}
		},
		Forecast: func(budgets []time.Duration) drain.Forecast {
			note(fmt.Sprint("forecast ", budgets))
			return drain.Forecast{Budgets: make([]drain.Horizon, len(budgets))}
		},
		Evict: func(id uint64) bool { note(fmt.Sprint("close ", id)); return id == 7 },
		MoveDeadline: func(at time.Time) error {
			return note(fmt.Sprint("deadline ", time.Until(at).Round(time.Second)))
		},
		Receipt: func() (drain.Receipt, bool) { return drain.Receipt{Schema: 1, Cut: holders, CutTotal: 1}, c.err == nil },
		Policy: func() Policy {
			return Policy{Version: "17", Rejected: &Rejected{Version: "18", Error: "routes.yaml:3:1: no"}}
		},
		RequestDrain: func(park bool) error { return note(fmt.Sprint("start park=", park)) },
		Undo:         func() error { return note("undo") },
		Acknowledge:  func() error { return note("ack") },
		Reload:       func(context.Context) error { return note("reload") },
		Revoke:       func(_ context.Context, r session.Revocation) error { return note("revoke " + r.Kind) },
	}
}

// request is one that curl would send.
func request(method, target, body string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host = "127.0.0.1:9901"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}

func answer(h http.Handler, r *http.Request) (code int, body string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	b, _ := io.ReadAll(w.Result().Body)
	return w.Code, string(b)
}

func newServer(t *testing.T, cfg Config) *Server {
	t.Helper()
	s, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Who may do what: by address, token and method.
func TestGuard(t *testing.T) {
	token := tokenFile(t, secret)
	drainOK := `{"action":"start"}`
	for _, w := range []struct {
		name           string
		address, token string
		header         string
		read, write    int
	}{
		{"loopback", "127.0.0.1:0", "", "", 200, 403},
		{"loopback of the other family", "[::1]:0", "", "", 200, 403},
		{"localhost", "localhost:0", "", "", 200, 403},
		{"loopback, and a token nobody asked for", "127.0.0.1:0", "", "Bearer " + secret, 200, 403},
		{"unix socket", "unix:/x/y", "", "", 200, 200},
		{"loopback with a token", "127.0.0.1:0", token, "", 401, 401},
		{"the token", "127.0.0.1:0", token, "Bearer " + secret, 200, 200},
		{"the scheme in another case", "127.0.0.1:0", token, "bearer " + secret, 200, 200},
		{"another token", "127.0.0.1:0", token, "Bearer " + strings.ToUpper(secret), 401, 401},
		{"half the token", "127.0.0.1:0", token, "Bearer " + secret[:16], 401, 401},
		{"nothing after the scheme", "127.0.0.1:0", token, "Bearer", 401, 401},
		{"another scheme", "127.0.0.1:0", token, "Basic " + secret, 401, 401},
		{"unix socket with a token", "unix:/x/y", token, "", 401, 401},
		{"anywhere with a token", ":0", token, "", 401, 401},
		{"anywhere with the token", ":0", token, "Bearer " + secret, 200, 200},
	} {
		c := &calls{}
		s := newServer(t, Config{Address: w.address, TokenFile: w.token, Hooks: c.hooks()})
		for _, r := range []struct {
			*http.Request
			want int
		}{
			{request("GET", "/status", ""), w.read},
			{request("HEAD", "/drain", ""), w.read},
			{request("POST", "/drain", drainOK), w.write},
			{request("POST", "/reload", ""), w.write},
			{request("POST", "/sessions/revoke", `{"kind":"all"}`), w.write},
		} {
			if w.header != "" {
				r.Header.Set("Authorization", w.header)
			}
			if code, body := answer(s.handler(), r.Request); code != r.want {
				t.Errorf("%s: %s %s is %d, want %d: %s", w.name, r.Method, r.URL, code, r.want, body)
			}
		}
		if want := map[int]int{200: 3}[w.write]; len(c.log) != want {
			t.Errorf("%s: the hooks were asked for %v", w.name, c.log)
		}
	}
}

// Two credentials: which one counts would be anybody's guess.
func TestTwoCredentialsAreNone(t *testing.T) {
	c := &calls{}
	s := newServer(t, Config{TokenFile: tokenFile(t, secret), Hooks: c.hooks()})
	r := request("GET", "/status", "")
	r.Header.Add("Authorization", "Bearer "+secret)
	r.Header.Add("Authorization", "Bearer x")
	if code, _ := answer(s.handler(), r); code != 401 {
		t.Errorf("%d", code)
	}
}

// A page in the operator's browser, or one that rebinds its name, gets nothing.
func TestPagesAreRefused(t *testing.T) {
	c := &calls{}
	for _, address := range []string{"127.0.0.1:0", "unix:/x/y"} {
		h := newServer(t, Config{Address: address, Hooks: c.hooks()}).handler()
		for name, spoil := range map[string]func(*http.Request){
			"origin":      func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") },
			"other port":  func(r *http.Request) { r.Header.Set("Origin", "http://127.0.0.1:9902") },
			"no scheme":   func(r *http.Request) { r.Header.Set("Origin", "127.0.0.1:9901") },
			"a file":      func(r *http.Request) { r.Header.Set("Origin", "null") },
			"two origins": func(r *http.Request) { r.Header["Origin"] = []string{"http://127.0.0.1:9901", "https://evil.example"} },
			"own, framed": func(r *http.Request) {
				r.Header.Set("Origin", "http://127.0.0.1:9901")
				r.Header.Set("Sec-Fetch-Site", "cross-site")
			},
			"rebound name": func(r *http.Request) {
				r.Host = "evil.example:9901"
				r.Header.Set("Origin", "http://evil.example:9901")
			},
			"empty origin": func(r *http.Request) { r.Header.Set("Origin", "") },
			"cross site":   func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
			"same site":    func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
		} {
			for _, r := range []*http.Request{request("GET", "/status", ""), request("POST", "/reload", "")} {
				spoil(r)
				if code, _ := answer(h, r); code != 403 {
					t.Errorf("%s: %s: %s is %d, want 403", address, name, r.Method, code)
				}
			}
		}
		typed := request("GET", "/status", "")
		typed.Header.Set("Sec-Fetch-Site", "none")
		if code, _ := answer(h, typed); code != 200 {
			t.Errorf("%s: an address typed into a browser is %d", address, code)
		}
	}
	if len(c.log) > 0 {
		t.Errorf("the hooks were asked for %v", c.log)
	}
}

func TestHostMustBeThisServer(t *testing.T) {
	token := tokenFile(t, secret)
	for _, w := range []struct {
		address, token, host string
		want                 int
	}{
		{"127.0.0.1:9901", "", "127.0.0.1:9901", 200},
		{"127.0.0.1:9901", "", "localhost:8888", 200}, // a forwarded port
		{"127.0.0.1:9901", "", "LOCALHOST", 200},
		{"127.0.0.1:9901", "", "[::1]:9901", 200},
		{"127.0.0.1:9901", "", "[::1]", 200},
		{"127.0.0.1:9901", "", "evil.example:9901", 403},
		{"127.0.0.1:9901", "", "127.0.0.1.evil.example", 403},
		{"127.0.0.1:9901", "", "192.0.2.1:9901", 403},
		{"127.0.0.1:9901", "", "", 403},
		{"admin.internal:9901", token, "admin.internal:9901", 200},
		{"admin.internal:9901", token, "evil.example:9901", 403},
		{":9901", token, "192.0.2.1:9901", 200},
		{":9901", token, "evil.example:9901", 403},
		{":9901", token, ":9901", 403},
		{"unix:/x/y", "", "anything", 200},
	} {
		s := newServer(t, Config{Address: w.address, TokenFile: w.token, Hooks: (&calls{}).hooks()})
		r := request("GET", "/status", "")
		r.Host = w.host
		r.Header.Set("Authorization", "Bearer "+secret)
		if code, body := answer(s.handler(), r); code != w.want {
			t.Errorf("%s asked as %q: %d, want %d: %s", w.address, w.host, code, w.want, body)
		}
	}
}

func TestConstructionRefuses(t *testing.T) {
	for _, w := range []struct {
		address, token string
		want           []string
	}{
		{":9901", "", []string{"not loopback", "admin.token_file"}},
		{"0.0.0.0:9901", "", []string{"not loopback"}},
		{"[::]:9901", "", []string{"not loopback"}},
		{"192.0.2.1:9901", "", []string{"not loopback"}},
		{"localhost.evil.example:9901", "", []string{"not loopback"}},
		{"unix:relative", "", []string{"absolute"}},
		{"9901", "", []string{"neither host:port nor unix:/path"}},
		{"127.0.0.1:", "", []string{"neither"}},
		{"127.0.0.1:0", "/nowhere/token", []string{"admin.token_file"}},
		{"127.0.0.1:0", tokenFile(t, "short"), []string{"less than 16 bytes"}},
		{"127.0.0.1:0", tokenFile(t, ""), []string{"less than 16 bytes"}},
		{"127.0.0.1:0", tokenFile(t, secret+"\n"+secret), []string{"more than one word"}},
		{"127.0.0.1:0", tokenFile(t, strings.Repeat("x", 5000)), []string{"longer than"}},
		{"9901", "/nowhere/token", []string{"neither", "admin.token_file"}}, // all at once
	} {
		_, err := NewServer(Config{Address: w.address, TokenFile: w.token})
		for _, want := range w.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q with %q: error %v, want one about %q", w.address, w.token, err, want)
			}
		}
	}
}

// The token is read again when its file changes; when it cannot be, nobody is let in.
func TestTokenFollowsItsFile(t *testing.T) {
	path := tokenFile(t, secret)
	h := newServer(t, Config{TokenFile: path, Hooks: (&calls{}).hooks()}).handler()
	want := func(what, token string, want int) {
		t.Helper()
		r := request("GET", "/status", "")
		r.Header.Set("Authorization", "Bearer "+token)
		code, body := answer(h, r)
		if code != want {
			t.Errorf("%s: %d, want %d", what, code, want)
		}
		if strings.Contains(body, path) {
			t.Errorf("%s: the answer tells the path: %s", what, body)
		}
	}
	second := strings.Repeat("z", len(secret)) // of the same length
	want("first", secret, 200)
	if err := os.WriteFile(path+".new", []byte(second+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	want("the old one", secret, 401)
	want("the new one", second, 200)
	os.WriteFile(path, []byte("short"), 0o600)
	want("broken", second, 503)
	os.Remove(path)
	want("gone", second, 503)
	want("gone, and an empty one", "", 503)
	os.WriteFile(path, []byte(secret), 0o600)
	want("back", secret, 200)
}

func TestStatusPage(t *testing.T) {
	s := newServer(t, Config{Build: Build{Version: "1.2.3"}, Hooks: (&calls{}).hooks()})
	code, body := answer(s.handler(), request("GET", "/status", ""))
	var st Status
	if err := json.Unmarshal([]byte(body), &st); err != nil || code != 200 {
		t.Fatalf("%d, %v: %s", code, err, body)
	}
	if st.Version != "1.2.3" || st.Ready || !strings.Contains(st.Readiness, "policy.sync.initial STARTING") ||
		st.Statuses[health.PolicySyncInitial].Error != "no such file" || st.Policy.Version != "17" ||
		st.Connections.Active != 3 || st.Refused != 3 || st.Exchanges != 8 || st.Tracked != 9 {
		t.Errorf("status %+v", st)
	}
	d := st.Drain
	if d.State != health.ProcessLameDuck || d.SecondsLeft < 3500 || d.Holding != "drain proxy" || d.Initial.Idle != 4 || d.Remaining.Active != 3 || d.NextSignal != "cuts" {
		t.Errorf("drain %+v", d)
	}
}

func TestPeersAreHashedUnlessAskedFor(t *testing.T) {
	c := &calls{}
	h := newServer(t, Config{Hooks: c.hooks()}).handler()
	for _, path := range []string{"/connections", "/receipt", "/drain/watch"} {
		_, hashed := answer(h, request("GET", path, ""))
		_, again := answer(h, request("GET", path, ""))
		_, plain := answer(h, request("GET", path+"?peers=1", ""))
		if strings.Contains(hashed, "192.0.2.7") || !strings.Contains(hashed, `"peers_hashed": true`) || hashed != again && path != "/drain/watch" { // that one counts seconds
			t.Errorf("%s: %s", path, hashed)
		}
		if !strings.Contains(plain, "192.0.2.7:4711") || strings.Contains(plain, "peers_hashed") {
			t.Errorf("%s?peers=1: %s", path, plain)
		}
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	c := &calls{}
	h := newServer(t, Config{Hooks: c.hooks()}).handler()
	for query, want := range map[string]int{"": 200, "?max=1000": 200, "?max=1": 200, "?max=1001": 400, "?max=0": 400, "?max=-1": 400, "?max=x": 400} {
		if code, _ := answer(h, request("GET", "/connections"+query, "")); code != want {
			t.Errorf("%s: %d, want %d", query, code, want)
		}
	}
	for _, call := range c.log {
		if call != "connections 100" && call != "connections 1000" && call != "connections 1" {
			t.Errorf("asked for %s", call)
		}
	}
}

// What the loops know is added to what the tracker knows.
func TestConnectionsHaveDetail(t *testing.T) {
	c := &calls{}
	_, body := answer(newServer(t, Config{Hooks: c.hooks()}).handler(), request("GET", "/connections", ""))
	if !strings.Contains(body, ", waiting for the head of a response") || !strings.Contains(body, `"queued": 7`) {
		t.Errorf("%s", body)
	}
}

func TestDrainActions(t *testing.T) {
	for _, w := range []struct {
		body string
		err  error
		code int
		call string
	}{
		{`{"action":"start"}`, nil, 200, "start park=false"},
		{`{"action":"start","park":true}`, nil, 200, "start park=true"},
		{`{"action":"undo"}`, nil, 200, "undo"},
		{`{"action":"ack"}`, nil, 200, "ack"},
		{`{"action":"deadline","in":"90s"}`, nil, 200, "deadline 1m30s"},
		{`{"action":"deadline","in":"0s"}`, nil, 200, "deadline 0s"},
		{`{"action":"deadline","in":"90s"}`, lifecycle.ErrNotDraining, 409, "deadline 1m30s"},
		{`{"action":"deadline","in":"90s"}`, &lifecycle.BeyondBudgetError{Latest: time.Second, Budget: time.Minute}, 409, "deadline 1m30s"},
		{`{"action":"close","id":7}`, nil, 200, "close 7"},
		{`{"action":"close","id":8}`, nil, 404, "close 8"},
		{`{"action":"close"}`, nil, 404, "close 0"},
		{`{"action":"deadline","in":"soon"}`, nil, 400, ""},
		{`{"action":"deadline","in":"-1s"}`, nil, 400, ""},
		{`{"action":"deadline","in":"25h"}`, nil, 400, ""},
		{`{"action":"deadline"}`, nil, 400, ""},
		{`{"action":"ack","id":7}`, nil, 400, ""},
		{`{"action":"start","in":"9s"}`, nil, 400, ""},
		{`{"action":"undo"}`, lifecycle.ErrTooLate, 409, "undo"},
		{`{"action":"undo"}`, lifecycle.ErrCannotUndo, 409, "undo"},
		{`{"action":"ack"}`, lifecycle.ErrNotLameDuck, 409, "ack"},
		{`{"action":"start"}`, errors.New("something else"), 500, "start park=false"},
		{`{"action":"START"}`, nil, 400, ""},
		{`{"action":""}`, nil, 400, ""},
		{`{}`, nil, 400, ""},
		{``, nil, 400, ""},
		{`{"action":"undo","park":true}`, nil, 400, ""},
		{`{"action":"start","parc":true}`, nil, 400, ""},
		{`{"action":"start"}{"action":"undo"}`, nil, 400, ""},
		{`{"action":"start"` + strings.Repeat(" ", 5000) + `}`, nil, 400, ""},
	} {
		c := &calls{err: w.err}
		h := newServer(t, Config{Address: "unix:/x/y", Hooks: c.hooks()}).handler()
		r := request("POST", "/drain", w.body)
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
		code, body := answer(h, r)
		if code != w.code || strings.Join(c.log, ",") != w.call {
			t.Errorf("%.60s: %d after %v, want %d after %s: %s", w.body, code, c.log, w.code, w.call, body)
		}
		if code != 200 && !strings.Contains(body, `"error"`) {
			t.Errorf("%.60s: %s", w.body, body)
		}
	}
	c := &calls{}
	r := request("POST", "/drain", `{"action":"start"}`)
	r.Header.Set("Content-Type", "text/plain") // what a form can send
	if code, _ := answer(newServer(t, Config{Address: "unix:/x/y", Hooks: c.hooks()}).handler(), r); code != 400 || c.log != nil {
		t.Errorf("not JSON: %d after %v", code, c.log)
	}
}

func TestOtherAnswers(t *testing.T) {
	for _, w := range []struct {
		method, path string
		err          error
		want         int
		body         string
	}{
		{"GET", "/", nil, 200, "POST /reload"},
		{"POST", "/drain/ack", nil, 200, `"state"`},
		{"POST", "/drain/ack", lifecycle.ErrNotLameDuck, 409, "not in the lame duck"},
		{"GET", "/drain/ack", nil, 405, ""},
		{"GET", "/drain/watch", nil, 200, `"groups"`},
		{"GET", "/drain/watch?max=0", nil, 400, "max must be"},
		{"GET", "/drain/forecast", nil, 200, `"budgets"`},
		{"GET", "/drain/forecast?at=1s,2s", nil, 200, `"budgets"`},
		{"GET", "/drain/forecast?at=1s,x", nil, 400, "durations"},
		{"GET", "/drain/forecast?at=0s", nil, 400, "durations"},
		{"GET", "/drain/forecast?at=1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s", nil, 400, "at most 10"},
		{"GET", "/policy", nil, 200, "routes.yaml:3:1: no"},
		{"GET", "/receipt", errors.New("x"), 404, "no drain yet"},
		{"POST", "/reload", nil, 200, `"reloaded": true`},
		{"POST", "/reload", errors.New("sluice.yaml:1:1: no"), 422, "sluice.yaml:1:1: no"},
		{"GET", "/reload", nil, 405, ""},
		{"POST", "/sessions/revoke", nil, 400, "the body must be JSON"},
		{"GET", "/sessions/revoke", nil, 405, ""},
		{"DELETE", "/drain", nil, 405, ""},
		{"GET", "/nothing", nil, 404, ""},
		{"GET", "/debug/pprof/", nil, 200, "goroutine"},
		{"GET", "/debug/pprof/goroutine?debug=1", nil, 200, "TestOtherAnswers"},
		{"GET", "/debug/pprof/profile?seconds=21", nil, 400, "at most 20"},
		{"GET", "/debug/pprof/profile?seconds=NaN", nil, 400, "at most 20"},
		{"GET", "/debug/pprof/trace?seconds=0.01", nil, 200, ""},
		{"GET", "/debug/pprof/trace?seconds=1e9", nil, 400, "at most 20"},
	} {
		c := &calls{err: w.err}
		h := newServer(t, Config{Address: "unix:/x/y", Hooks: c.hooks()}).handler()
		if code, body := answer(h, request(w.method, w.path, "")); code != w.want || !strings.Contains(body, w.body) {
			t.Errorf("%s %s: %d, want %d: %.300s", w.method, w.path, code, w.want, body)
		}
	}
}

// A server without hooks says so on every page, and never breaks.
func TestMissingHooks(t *testing.T) {
	h := newServer(t, Config{Address: "unix:/x/y"}).handler()
	for _, r := range []*http.Request{
		request("GET", "/status", ""), request("GET", "/connections", ""), request("GET", "/drain", ""),
		request("GET", "/policy", ""), request("GET", "/receipt", ""), request("POST", "/reload", ""),
		request("POST", "/sessions/revoke", `{"kind":"all"}`),
		request("POST", "/drain", `{"action":"start"}`), request("POST", "/drain", `{"action":"undo"}`), request("POST", "/drain", `{"action":"ack"}`),
	} {
		if code, _ := answer(h, r); code != 501 {
			t.Errorf("%s %s: %d, want 501", r.Method, r.URL, code)
		}
	}
}

// A name that led away from loopback is noticed when it is bound.
func TestBoundAddressIsChecked(t *testing.T) {
	for _, w := range []struct {
		token bool
		addr  net.Addr
		want  bool
	}{
		{false, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, true},
		{false, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, false},
		{false, &net.TCPAddr{IP: net.IPv6unspecified}, false},
		{true, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, true},
		{false, &net.UnixAddr{Name: "/x"}, true},
	} {
		g := guard{}
		if w.token {
			g.token = &token{}
		}
		if got := g.bound(w.addr) == nil; got != w.want {
			t.Errorf("%v, token %v: %v, want %v", w.addr, w.token, got, w.want)
		}
	}
}
