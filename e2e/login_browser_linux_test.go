package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// does runs an expression that leads to another page, and returns when that is there.
func (b *browser) does(expression string) {
	b.t.Helper()
	want := b.loaded + 1
	b.eval("setTimeout(() => { " + expression + " }, 0); 'soon'")
	for b.loaded < want {
		b.read()
	}
}

// anotherTab opens one, which what follows is about.
func (b *browser) anotherTab() {
	b.t.Helper()
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	b.call("Page.enable", nil, nil)
}

// TestLoginsInABrowser has Chromium log in at dex, be denied by group, sign out by the button, and be signed out by the back channel, which ends its WebSocket:
// cookies, redirects and the policies of our pages as a browser takes them. axe-core looks at each page, in light and dark.
func TestLoginsInABrowser(t *testing.T) {
	if !heavy() {
		t.Skip("a browser, dex, and a package of npm: make heavy")
	}
	axe := axeCore(t)
	up, sockets := newUpstream(t), newSockets(t)
	s, issuer, told := dexHouse(t, up)
	write(t, s.file("policy/main.yaml"), strings.Replace(loginPolicy(up.web), "clusters: {", fmt.Sprintf("clusters: {sockets: {endpoints: [%q]}, ", sockets.addr), 1)+
		"- {name: sockets, path: {prefix: /socket}, cluster: sockets, authenticate: [oidc], policy: [{allow: {and: [{groups: eng}]}}]}\n")
	s.await(t, "the policy with sockets", func(r record) bool { return msg("policy in force")(r) && r["version"] == 2.0 })
	b := newBrowser(t, "--ignore-certificate-errors", fmt.Sprintf("--host-resolver-rules=MAP app.example.com:443 %s", s.web))
	d := &dash{browser: b, origin: loginHost, axe: axe}
	login := func(who, path string) {
		t.Helper()
		b.open(loginHost+path, "light")
		d.holds("at dex", fmt.Sprintf("location.href.startsWith(%q)", issuer))
		b.does(fmt.Sprintf("document.querySelector('#login').value = '%s@example.com'; document.querySelector('#password').value = 'password'; document.querySelector('form').submit()", who))
		d.await("location.href", loginHost+path)
	}
	login("ann", "/eng/x?y=1")
	d.holds("the page of the upstream", "document.body.innerText.startsWith('GET /eng/x by ')")
	d.await("document.cookie", "") // no script sees one

	b.faults = nil
	b.open(loginHost+"/.sluice/logout", "light")
	d.holds("who it is", "document.body.innerText.includes('Signed in as')")
	d.looks("sign-out", 320, 1280)
	b.does("document.querySelector('button').click()")
	d.holds("at dex, which asks", fmt.Sprintf("location.href.startsWith(%q)", issuer+"/logout"))
	b.does("document.querySelector('form').submit()")
	wasTold(t, told)
	b.open(loginHost+"/.sluice/signed-out", "light")
	d.looks("signed-out", 320, 1280)

	login("bob", "/eng/z")
	d.await("document.querySelector('h1').innerText", "This page is not open to you")
	b.faults = nil // that a page is 403 is one
	d.looks("denied", 320, 1280)
	b.open(loginHost+"/eng/z", "dark")
	b.faults = nil
	b.does("document.querySelector('a').click()")
	d.await("location.pathname", "/.sluice/logout")

	b.open(loginHost+"/.sluice/callback?code=x&state=of-somebody-else", "light")
	d.await("document.querySelector('h1').innerText", "You are signed in already")
	b.faults = nil
	d.looks("lost", 320, 1280)

	// Out at the provider, in another tab: the session here is over, too, and so is its WebSocket.
	b.open(issuer+"/logout", "light")
	b.does("document.querySelector('form').submit()")
	wasTold(t, told)
	login("ann", "/eng/w")
	b.eval("new Promise(done => { window.ws = new WebSocket('wss://' + location.host + '/socket/1'); ws.onopen = () => done('open'); ws.onclose = e => { window.code = e.code; window.closedAt = Date.now(); done('closed') } })")
	d.holds("the WebSocket is open", "ws.readyState === WebSocket.OPEN")
	tab := b.session
	b.anotherTab()
	b.open(issuer+"/logout", "light")
	b.does("document.querySelector('form').submit()")
	at := wasTold(t, told)
	b.session = tab
	b.call("Page.bringToFront", nil, nil) // what is hidden is not drawn
	d.holds("the WebSocket is closed", "ws.readyState === WebSocket.CLOSED")
	d.await("String(code)", "1008") // policy violation: RFC 6455 section 7.4.1
	ms, err := strconv.ParseInt(b.eval("String(closedAt)"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	took := time.UnixMilli(ms).Sub(at.Truncate(time.Millisecond))
	t.Logf("the WebSocket of the page was closed %v after the back-channel logout", took)
	if took < 0 || took > 5*time.Second { // a second, on a machine that may be busy
		t.Errorf("the WebSocket of the page was closed %v after the back-channel logout", took)
	}
	b.open(loginHost+"/other", "light")
	d.holds("sent to log in", fmt.Sprintf("location.href.startsWith(%q)", issuer))
	for _, fault := range b.faults {
		if strings.Contains(fault, "Content Security Policy") {
			t.Errorf("the console says %s", fault)
		}
	}
}
