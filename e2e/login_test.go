package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// loginHost is what people call the proxy.
const loginHost = "https://app.example.com"

// loginProvider is a provider of OpenID Connect by script: whoever comes is ann, without a page.
type loginProvider struct {
	*issuer
	t      *testing.T
	server *httptest.Server

	mu     sync.Mutex // guards what follows
	away   bool       // it answers 503
	groups []string
	codes  map[string]url.Values // what was asked, by code
}

func newLoginProvider(t *testing.T) *loginProvider {
	t.Helper()
	p := &loginProvider{issuer: newIssuer(t, "k1"), t: t, codes: map[string]url.Values{}, groups: []string{"eng"}}
	p.server = httptest.NewServer(p)
	t.Cleanup(p.server.Close)
	return p
}

func (p *loginProvider) set(change func(*loginProvider)) { p.mu.Lock(); defer p.mu.Unlock(); change(p) }

func (p *loginProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.server.URL
	w.Header().Set("Content-Type", "application/json")
	switch {
	case p.away:
		http.Error(w, "away", http.StatusServiceUnavailable)
	case r.URL.Path == "/.well-known/openid-configuration":
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": at, "authorization_endpoint": at + "/auth", "token_endpoint": at + "/token", "jwks_uri": at + "/keys", "end_session_endpoint": at + "/end"})
	case r.URL.Path == "/keys":
		_, _ = w.Write(p.document())
	case r.URL.Path == "/auth":
		code := fmt.Sprint(len(p.codes))
		p.codes[code] = r.URL.Query()
		http.Redirect(w, r, r.URL.Query().Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {r.URL.Query().Get("state")}}.Encode(), http.StatusFound)
	case r.URL.Path == "/token":
		asked, id := p.codes[r.FormValue("code")], ""
		if user, secret, _ := r.BasicAuth(); user == "sluice" && secret == "secret" && asked != nil {
			id = p.sign(p.t, "k1", map[string]any{"iss": at, "aud": "sluice", "sub": "ann", "iat": time.Now().Unix(), "nonce": asked.Get("nonce"), "groups": p.groups, "email": "ann@example.com", "sid": "s-" + r.FormValue("code")})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": id})
	default:
		http.NotFound(w, r)
	}
}

// loginPolicy has a page for everybody who is known, and one for engineers.
func loginPolicy(addr string) string {
	return fmt.Sprintf(`clusters: {app: {endpoints: [%q]}}
routes:
- {name: all, cluster: app, authenticate: [oidc, api_key], policy: [{allow: {and: [{authenticated_user: true}]}}]}
- {name: eng, path: {prefix: /eng}, cluster: app, authenticate: [oidc], policy: [{allow: {and: [{groups: eng}]}}]}
`, addr)
}

// loginSetup is a proxy that logs in at a provider. Those with the same state are replicas.
func loginSetup(t *testing.T, up *upstream, issuer, state string) setup {
	t.Helper()
	c, _ := secure(t, "")
	file := filepath.Join(t.TempDir(), "secret")
	write(t, file, "secret\n")
	c.policy, c.poll = loginPolicy(up.web), "1s, state_dir: "+state
	c.known = fmt.Sprintf(", oidc: [{issuer: %q, client_id: sluice, client_secret_file: %q, scopes: [openid, profile, email, groups]}]", issuer, file)
	return c
}

// person is somebody with a browser, which follows no redirect by itself.
type person struct {
	*http.Client
	t  *testing.T
	at *sluice // where the name leads
}

func newPerson(t *testing.T, at *sluice) *person {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, at: at}
	transport := &http.Transport{TLSClientConfig: trusting(), DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		if strings.HasPrefix(addr, "app.example.com:") {
			addr = p.at.web
		}
		return (&net.Dialer{Timeout: patience}).DialContext(ctx, network, addr)
	}}
	p.Client = &http.Client{Jar: jar, Timeout: patience, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return p
}

// page is what somebody sees.
type page struct {
	status int
	head   http.Header
	body   string
	at     *url.URL
}

// ask sends a request: a form if there is one.
func (p *person) ask(address string, form url.Values, head ...string) page {
	p.t.Helper()
	method, body := "GET", io.Reader(nil)
	if form != nil {
		method, body = "POST", strings.NewReader(form.Encode())
	}
	r, err := http.NewRequest(method, address, body)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	resp, err := p.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return page{resp.StatusCode, resp.Header, string(text), r.URL}
}

// follow goes on as long as it is led on.
func (p *person) follow(at page) page {
	p.t.Helper()
	for range 10 {
		to := at.head.Get("Location")
		if at.status < 300 || at.status > 399 || to == "" {
			return at
		}
		next, err := at.at.Parse(to)
		if err != nil {
			p.t.Fatal(err)
		}
		at = p.ask(next.String(), nil)
	}
	p.t.Fatalf("redirects without an end, at %s", at.at)
	return at
}

func (p *person) wants(what string, got page, status int, reason string) {
	p.t.Helper()
	if got.status != status || got.head.Get("X-Sluice-Reason") != reason {
		p.t.Fatalf("%s: %d %s, want %d %s\n%s", what, got.status, got.head.Get("X-Sluice-Reason"), status, cmp.Or(reason, "(of the upstream)"), got.body)
	}
}

// TestLogins: a person is sent to the provider and comes back, on whatever replica; what upstreams see of it; what is denied; and the way out.
func TestLogins(t *testing.T) {
	t.Parallel()
	up, idp, state := newUpstream(t), newLoginProvider(t), t.TempDir()+"/state"
	s := serve(t, up, loginSetup(t, up, idp.server.URL, state))
	awaitProvider(t, s)
	other := serve(t, up, loginSetup(t, up, idp.server.URL, state)) // knows it from the disk
	ann := newPerson(t, s)

	script := ann.ask(loginHost+"/api", nil, "Accept", "application/json", "Sec-Fetch-Mode", "cors")
	ann.wants("a script", script, 401, "login_required")
	if at := script.head.Get("X-Sluice-Login"); at != loginHost+"/.sluice/login?to=%2F" || !strings.Contains(script.body, at) || script.head.Get("WWW-Authenticate") == "" {
		t.Errorf("a script is not told where to log in: %v %s", script.head, script.body)
	}
	gone := ann.ask(loginHost+"/eng/page?x=1", nil)
	ann.wants("a person", gone, 302, "login")
	back := ann.ask(gone.head.Get("Location"), nil)
	ann.at = other // another replica, or this one after a restart
	done := ann.ask(back.head.Get("Location"), nil)
	ann.wants("the callback on another replica", done, 303, "login_done")
	if to := done.head.Get("Location"); to != loginHost+"/eng/page?x=1" {
		t.Errorf("back to %s", to)
	}
	ann.at = s
	in := ann.follow(done)
	ann.wants("the page", in, 200, "")
	if !strings.Contains(in.body, "GET /eng/page by ann") {
		t.Errorf("the upstream says %q", in.body)
	}
	ann.ask(loginHost+"/seen", nil, "Cookie", "own=1")
	up.mu.Lock()
	for _, v := range up.seen {
		if c := v.head.Get("Cookie"); strings.Contains(strings.ToLower(c), "__host-sluice") || v.path == "/seen" && c != "own=1" {
			t.Errorf("%s: an upstream sees the cookies %q", v.path, c)
		}
	}
	up.mu.Unlock()
	ann.wants("the same callback again", ann.ask(back.head.Get("Location"), nil), 400, "login_lost")

	idp.set(func(p *loginProvider) { p.away = true })
	ann.wants("while the provider is away", ann.ask(loginHost+"/eng", nil), 200, "")
	bob := newPerson(t, s)
	gone = bob.ask(loginHost+"/eng", nil)
	idp.set(func(p *loginProvider) { p.away, p.groups = false, []string{"ops"} })
	back = bob.ask(gone.head.Get("Location"), nil)
	idp.set(func(p *loginProvider) { p.away = true })
	bob.wants("a provider that goes away in between", bob.ask(back.head.Get("Location"), nil), 502, "login_failed")
	idp.set(func(p *loginProvider) { p.away = false })
	denied := bob.follow(bob.ask(loginHost+"/eng", nil))
	bob.wants("who is in no group", denied, 403, "groups-unauthorized")
	id := regexp.MustCompile(`<dt>Request ID</dt><dd>([0-9a-f-]+)</dd>`).FindStringSubmatch(denied.body)
	if id == nil || id[1] != denied.head.Get("X-Request-Id") || !strings.Contains(denied.head.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Fatalf("the page names no request: %v\n%s", denied.head, denied.body)
	}
	if out, code := s.cli(t, "why", id[1], "--config", s.file("sluice.yaml")); code != 0 || !strings.Contains(out, "route eng") {
		t.Errorf("why: %d %s", code, out)
	}

	ann.wants("a logout by another site", ann.ask(loginHost+"/.sluice/logout", url.Values{}, "Sec-Fetch-Site", "cross-site"), 403, "logout_foreign")
	ann.wants("the button", ann.ask(loginHost+"/.sluice/logout", nil), 200, "logout")
	out := ann.ask(loginHost+"/.sluice/logout", url.Values{}, "Sec-Fetch-Site", "same-origin")
	ann.wants("out", out, 303, "logout")
	if to := out.head.Get("Location"); !strings.HasPrefix(to, idp.server.URL+"/end?client_id=sluice&post_logout_redirect_uri=") {
		t.Errorf("out to %s", to)
	}
	ann.wants("afterwards", ann.ask(loginHost+"/eng", nil), 302, "login")
	token := idp.sign(t, "k1", map[string]any{"iss": idp.server.URL, "aud": "sluice", "iat": time.Now().Unix(), "jti": "1", "sub": "ann", "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}})
	bob.wants("before the provider says that it is over", bob.ask(loginHost+"/", nil), 200, "")
	r, err := http.NewRequest("GET", loginHost+"/events?d=10m", nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := bob.Do(r)
	if err != nil || stream.StatusCode != 200 {
		t.Fatalf("a stream: %v", err)
	}
	defer stream.Body.Close()
	if _, err := io.ReadFull(stream.Body, make([]byte, len("data: still here"))); err != nil {
		t.Fatalf("a stream: %v", err)
	}
	bob.wants("a logout token", bob.ask(loginHost+"/.sluice/backchannel-logout", url.Values{"logout_token": {token}}), 200, "logout_token")
	began := time.Now()
	_, err = io.Copy(io.Discard, stream.Body) // within the patience of a person
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who was logged out by the provider has his stream still, after %v", time.Since(began))
	}
	for _, at := range []*sluice{s, other} {
		bob.at = at
		for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			if p := bob.ask(loginHost+"/", nil); p.status == 302 {
				break
			} else if time.Now().After(end) {
				t.Fatalf("who was logged out by the provider gets %d", p.status)
			}
		}
	}
	_, metrics := s.probe(t, "/metrics")
	for _, want := range []string{`sluice_logins_total{provider="oidc",result="failed"} 1`, `sluice_logins_total{provider="oidc",result="lost"} 1`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s", want)
		}
	}
}

// TestLoginWithoutAProvider: one that is away keeps nobody from starting; people are told, and sent there once it is back.
func TestLoginWithoutAProvider(t *testing.T) {
	t.Parallel()
	up, idp := newUpstream(t), newLoginProvider(t)
	idp.set(func(p *loginProvider) { p.away = true })
	s := serve(t, up, loginSetup(t, up, idp.server.URL, t.TempDir()+"/state"))
	ann := newPerson(t, s)
	none := ann.ask(loginHost+"/x", nil)
	if ann.wants("a person", none, 503, "login_unavailable"); none.head.Get("Retry-After") == "" {
		t.Errorf("%v", none.head)
	}
	if r := ann.ask(loginHost+"/x", nil, "X-Api-Key", goodKey); r.status != 200 {
		t.Errorf("a key: %d", r.status)
	}
	idp.set(func(p *loginProvider) { p.away = false })
	awaitProvider(t, s)
	if in := ann.follow(ann.ask(loginHost+"/x", nil)); in.status != 200 {
		t.Errorf("once it is back: %d %s", in.status, in.body)
	}
}

// awaitProvider waits until a proxy knows its provider.
func awaitProvider(t *testing.T, s *sluice) {
	t.Helper()
	s.await(t, "the provider", msg("provider known"))
}
