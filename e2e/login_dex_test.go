package e2e

import (
	"bufio"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// startDex builds dex, a real provider, and runs it. It returns its issuer.
func startDex(t *testing.T, backchannel string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "dex")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Dir = "dex"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build dex: %v\n%s", err, out)
	}
	dex := exec.Command(bin, "-origin", loginHost, "-backchannel", backchannel)
	in, err := dex.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := dex.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := dex.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = dex.Wait() }) // it ends with its input
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("dex does not say where it is: %v", err)
	}
	return strings.TrimSpace(line)
}

var (
	formAction = regexp.MustCompile(`<form [^>]*action="([^"]*)"`)
	formHidden = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

// submit sends the form of a page, with what it has that nobody sees.
func (p *person) submit(at page, form url.Values) page {
	p.t.Helper()
	m := formAction.FindStringSubmatch(at.body)
	if m == nil {
		p.t.Fatalf("%s has no form: %d\n%s", at.at, at.status, at.body)
	}
	for _, hidden := range formHidden.FindAllStringSubmatch(at.body, -1) {
		form.Set(hidden[1], hidden[2])
	}
	to, err := at.at.Parse(strings.ReplaceAll(m[1], "&amp;", "&"))
	if err != nil {
		p.t.Fatal(err)
	}
	return p.follow(p.ask(to.String(), form, "Sec-Fetch-Site", "same-origin"))
}

// logoutToken is one that the proxy was sent.
type logoutToken struct {
	at     time.Time // when it was
	status int       // what the proxy answered
}

// dexHouse is a proxy that logs in at dex, the issuer, and the logout tokens of it.
func dexHouse(t *testing.T, up *upstream) (s *sluice, issuer string, told <-chan logoutToken) {
	t.Helper()
	return providerHouse(t, up, loginPolicy(up.web), startDex)
}

// providerHouse is a proxy that logs in at what start runs, which is told where to send logout tokens and returns its issuer.
func providerHouse(t *testing.T, up *upstream, policy string, start func(t *testing.T, backchannel string) string) (s *sluice, issuer string, told <-chan logoutToken) {
	t.Helper()
	answers := make(chan logoutToken, 8)
	var web atomic.Pointer[string] // address of the proxy, which comes last
	relay := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequest(r.Method, "https://"+*web.Load()+"/.sluice/backchannel-logout", r.Body)
		if err != nil {
			return
		}
		req.Host, req.Header, req.ContentLength = "app.example.com", r.Header.Clone(), r.ContentLength
		c := &http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: trusting()}}
		at := time.Now()
		resp, err := c.Do(req)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		w.WriteHeader(resp.StatusCode)
		answers <- logoutToken{at, resp.StatusCode}
	}))
	t.Cleanup(relay.Close)
	issuer = start(t, relay.URL)
	c := loginSetup(t, up, issuer, t.TempDir()+"/state")
	c.policy = policy
	s = serve(t, up, c)
	web.Store(&s.web)
	awaitProvider(t, s)
	return s, issuer, answers
}

// wasTold waits until the provider has told the proxy of a logout, and returns when it did.
func wasTold(t *testing.T, told <-chan logoutToken) time.Time {
	t.Helper()
	select {
	case token := <-told:
		if token.status != 200 {
			t.Errorf("the logout token is answered %d", token.status)
		}
		return token.at
	case <-time.After(patience):
		t.Fatal("the provider sent no logout token")
	}
	return time.Time{}
}

// TestLoginsAtDex goes through a login, a denial and both ways out with a provider that is not ours.
func TestLoginsAtDex(t *testing.T) {
	if !heavy() {
		t.Skip("builds dex: make heavy")
	}
	s, issuer, told := dexHouse(t, newUpstream(t))
	login := func(who string) *person {
		p := newPerson(t, s)
		form := p.follow(p.ask(loginHost+"/eng/x", nil))
		if form.status != 200 || !strings.HasPrefix(form.at.String(), issuer) {
			t.Fatalf("%s is not at dex: %s %d\n%s", who, form.at, form.status, form.body)
		}
		got := p.submit(form, url.Values{"login": {who}, "password": {"password"}})
		if got.at.String() != loginHost+"/eng/x" {
			t.Fatalf("%s is at %s: %d\n%s", who, got.at, got.status, got.body)
		}
		if who == "bob@example.com" {
			p.wants(who, got, 403, "groups-unauthorized")
		} else {
			p.wants(who, got, 200, "")
		}
		return p
	}
	ann := login("ann@example.com")
	login("bob@example.com")

	// Out at the provider: it tells us by the back channel.
	out := ann.submit(ann.ask(issuer+"/logout", nil), url.Values{})
	if out.status != 200 {
		t.Fatalf("logout at dex: %d\n%s", out.status, out.body)
	}
	wasTold(t, told)
	ann.wants("who is out at the provider", ann.ask(loginHost+"/eng", nil), 302, "login")

	// Out here: the button, and on to the provider, which asks.
	ann = login("ann@example.com")
	kept := ann.Jar.Cookies(&url.URL{Scheme: "https", Host: "app.example.com", Path: "/"})
	end := ann.submit(ann.ask(loginHost+"/.sluice/logout", nil), url.Values{})
	if !strings.HasPrefix(end.at.String(), issuer+"/logout") || end.status != 200 {
		t.Fatalf("the button leads to %s %d\n%s", end.at, end.status, end.body)
	}
	if out := ann.submit(end, url.Values{}); out.status != 200 {
		t.Fatalf("dex: %d\n%s", out.status, out.body)
	}
	ann.wants("who is out", ann.ask(loginHost+"/eng", nil), 302, "login")
	ann.Jar.SetCookies(&url.URL{Scheme: "https", Host: "app.example.com", Path: "/"}, kept)
	ann.wants("with a copy of the cookie", ann.ask(loginHost+"/eng", nil), 302, "login")
}
