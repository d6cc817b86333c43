package e2e

import (
	"bufio"
	"io"
	"net/url"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// nodeProvider is oidc-provider, a real provider of another house than dex, as a process.
type nodeProvider struct {
	issuer string
	in     io.Writer
	out    *bufio.Reader
}

// start installs the package, and runs it beside our script. It returns its issuer.
func (n *nodeProvider) start(t *testing.T, backchannel string) string {
	t.Helper()
	node, dir := tool(t, "node"), t.TempDir()
	for _, name := range []string{"package.json", "provider.mjs"} {
		write(t, filepath.Join(dir, name), read(t, filepath.Join("oidcprovider", name)))
	}
	do(t, "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", dir)
	cmd := exec.Command(node, filepath.Join(dir, "provider.mjs"), loginHost, backchannel)
	var faults strings.Builder
	cmd.Stderr = &faults
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(9*patience, func() { _ = cmd.Process.Kill() }) // who reads of it waits no longer
	t.Cleanup(func() {
		_ = in.Close() // it ends with it
		limit.Reset(patience)
		_ = cmd.Wait()
		limit.Stop()
		if t.Failed() {
			t.Logf("oidc-provider says:\n%s", faults.String())
		}
	})
	n.in, n.out = in, bufio.NewReader(out)
	n.issuer = n.says(t)
	return n.issuer
}

func (n *nodeProvider) says(t *testing.T) string {
	t.Helper()
	line, err := n.out.ReadString('\n')
	if err != nil {
		t.Fatalf("oidc-provider says nothing more: %v", err)
	}
	return strings.TrimSpace(line)
}

// rotate has it sign with another key from now on, and publish no other.
func (n *nodeProvider) rotate(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(n.in, "\n"); err != nil {
		t.Fatal(err)
	}
	t.Logf("keys rotated: %s", n.says(t))
}

// pass goes through the pages of the provider, from one of them on.
func (n *nodeProvider) pass(p *person, at page, who string) page {
	p.t.Helper()
	for range 2 { // login and consent
		form := url.Values{}
		if strings.Contains(at.body, `name="login"`) {
			form = url.Values{"login": {who}, "password": {"password"}}
		}
		if at = p.submit(at, form); !strings.HasPrefix(at.at.String(), n.issuer) {
			return at
		}
	}
	p.t.Fatalf("%s is still at the provider: %s %d\n%s", who, at.at, at.status, at.body)
	return at
}

// begin has somebody ask for a path, and be led to the provider.
func (n *nodeProvider) begin(p *person, path string) page {
	p.t.Helper()
	form := p.follow(p.ask(loginHost+path, nil))
	if form.status != 200 || !strings.HasPrefix(form.at.String(), n.issuer) {
		p.t.Fatalf("not at the provider: %s %d\n%s", form.at, form.status, form.body)
	}
	return form
}

// login has somebody with a new browser ask for /eng/x, and returns what comes of it.
func (n *nodeProvider) login(t *testing.T, s *sluice, who string) (*person, page) {
	t.Helper()
	p := newPerson(t, s)
	got := n.pass(p, n.begin(p, "/eng/x"), who)
	if got.at.String() != loginHost+"/eng/x" {
		t.Fatalf("%s is at %s: %d\n%s", who, got.at, got.status, got.body)
	}
	return p, got
}

// signOut has somebody sign out at the provider, which asks first.
func (n *nodeProvider) signOut(p *person) {
	p.t.Helper()
	if at := p.submit(p.ask(n.issuer+"/session/end", nil), url.Values{"logout": {"yes"}}); at.status != 200 {
		p.t.Fatalf("logout at the provider: %d\n%s", at.status, at.body)
	}
}

// TestLoginsAtOIDCProvider goes through logins, denials and both ways out with a second provider that is not ours, which requires
// PKCE, names itself in its answers (RFC 9207), signs by ES256, and rotates its keys meanwhile.
func TestLoginsAtOIDCProvider(t *testing.T) {
	if !heavy() {
		t.Skip("a package of npm: make heavy")
	}
	var idp nodeProvider
	up := newUpstream(t)
	policy := strings.Replace(loginPolicy(up.web), "clusters: {", `clusters: {endless: {endpoints: ["`+endlessUpstream(t)+`"]}, `, 1) +
		"- {name: endless, path: {prefix: /stream}, cluster: endless, authenticate: [oidc], policy: [{allow: {and: [{groups: eng}]}}]}\n"
	s, _, told := providerHouse(t, up, policy, idp.start)

	ann, got := idp.login(t, s, "ann")
	ann.wants("ann", got, 200, "")
	if !strings.Contains(got.body, "GET /eng/x by ann") {
		t.Errorf("the upstream says %q", got.body)
	}
	bob, got := idp.login(t, s, "bob")
	bob.wants("who is in no group", got, 403, "groups-unauthorized")
	bob.wants("what is for everybody", bob.ask(loginHost+"/other", nil), 200, "")

	eve := newPerson(t, s)
	cancel := regexp.MustCompile(`href="([^"]*/abort)"`).FindStringSubmatch(idp.begin(eve, "/eng").body)
	if cancel == nil {
		t.Fatal("the page of the provider has no way back")
	}
	eve.wants("who goes back", eve.follow(eve.ask(cancel[1], nil)), 403, "login_refused")

	// Two tabs: both are led to the provider before either comes back, the second first.
	tabs := newPerson(t, s)
	first, second := idp.begin(tabs, "/eng/first"), idp.begin(tabs, "/eng/second")
	for _, tab := range []struct {
		at page
		to string
	}{{second, "/eng/second"}, {first, "/eng/first"}} {
		got := idp.pass(tabs, tab.at, "ann")
		if tabs.wants("a tab", got, 200, ""); got.at.String() != loginHost+tab.to {
			t.Errorf("the tab of %s is at %s", tab.to, got.at)
		}
	}

	// Out here: the button, and on to the provider, which asks, and sends back.
	home := &url.URL{Scheme: "https", Host: "app.example.com", Path: "/"}
	kept := tabs.Jar.Cookies(home)
	end := tabs.submit(tabs.ask(loginHost+"/.sluice/logout", nil), url.Values{})
	if !strings.HasPrefix(end.at.String(), idp.issuer+"/session/end?") || end.status != 200 {
		t.Fatalf("the button leads to %s %d\n%s", end.at, end.status, end.body)
	}
	if out := tabs.submit(end, url.Values{"logout": {"yes"}}); out.status != 200 || out.at.String() != loginHost+"/.sluice/signed-out" {
		t.Errorf("out to %s %d\n%s", out.at, out.status, out.body)
	}
	wasTold(t, told) // by the back channel as well
	tabs.wants("who is out", tabs.ask(loginHost+"/eng", nil), 302, "login")
	tabs.Jar.SetCookies(home, kept)
	tabs.wants("with a copy of the cookie", tabs.ask(loginHost+"/eng", nil), 302, "login")

	// Out at the provider: it tells us, and what that session has open ends; another session of the same user goes on.
	other, _ := idp.login(t, s, "ann")
	streams, others := openAll(t, ann), openAll(t, other)
	idp.signOut(ann)
	took := endSoon(t, wasTold(t, told), streams)
	ann.wants("who is out at the provider", ann.ask(loginHost+"/eng", nil), 302, "login")

	idp.rotate(t)
	other.wants("while keys rotate", other.ask(loginHost+"/eng", nil), 200, "")
	for _, stream := range others {
		if !stream.lives(t) {
			t.Errorf("%s of another session does not go on: %v", stream.kind, stream.err)
		}
	}
	late, got := idp.login(t, s, "ann")
	late.wants("a login with the new key", got, 200, "")
	idp.signOut(other) // began before the rotation, and its logout is signed with the new key
	took2 := endSoon(t, wasTold(t, told), others)
	other.wants("who is out after the rotation", other.ask(loginHost+"/eng", nil), 302, "login")
	late.wants("who is not", late.ask(loginHost+"/eng", nil), 200, "")
	t.Logf("the slowest of three streams ended %v after the back-channel logout, %v after one with a rotated key", took, took2)
	if took > 5*time.Second || took2 > 5*time.Second { // a second, on a machine that may be busy
		t.Errorf("streams ended %v and %v after the logout", took, took2)
	}
}
