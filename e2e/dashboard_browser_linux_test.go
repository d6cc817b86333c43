package e2e

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const adminToken = "e2e-admin-5b1f0c9d7a3e4812"

// TestDashboardInABrowser goes through a whole stop with the page and its actions, by the
// keyboard alone: the token, a drain that is taken back, one that is acknowledged, a
// connection that is closed, and the end. On the way the page is looked at by axe-core, in
// light and dark, from 320 pixels to 3840; E2E_SHOTS keeps the pictures.
func TestDashboardInABrowser(t *testing.T) {
	if !heavy() {
		t.Skip("a browser, and a package of npm: make heavy")
	}
	axe := axeCore(t)
	up := newUpstream(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "token"), adminToken)
	s := serve(t, up, setup{
		admin:    fmt.Sprintf("{address: \"127.0.0.1:0\", token_file: %q}", filepath.Join(dir, "token")),
		policy:   dashboardPolicy(t, up, "v1"),
		lameDuck: "{min: 4m, max: 5m}", drain: "{timeout: 4m, idle_close: 1m}", extra: "platform: {stop_timeout: 15m}",
	})
	origin := "http://" + s.listening(t, "component", "admin")
	stopLoad := dashboardLoad(t, s)
	holds(t, s, get("/slow?d=10m", "X-Api-Key: "+goodKey))
	holds(t, s, get("/events?d=10m"))
	tunnel(t, s, "raw", "")
	write(t, s.file("policy/main.yaml"), dashboardPolicy(t, up, "v2")+"nonsense: true\n")

	b := newBrowser(t)
	d := &dash{browser: b, origin: origin, axe: axe}
	b.open(origin+"/", "light") // the root leads there
	d.await("location.pathname", "/dashboard/")
	d.visible("gate", true)
	d.visible("all", false)
	d.looks("token", 320)

	b.typed("not-the-token-at-all")
	b.press("Enter")
	d.await("document.querySelector('#gate-fault').textContent", "that is not the token of admin.token_file")
	if len(b.faults) != 1 || !strings.Contains(b.faults[0], "401") {
		t.Errorf("a wrong token is one 401, and the console says %q", b.faults)
	}
	b.faults = nil
	b.typed(adminToken)
	b.press("Enter")
	d.await("document.querySelector('#word').textContent", "Serving")
	d.visible("gate", false)
	d.holds("some traffic is shown", "Number(document.querySelector('.tile .value').textContent) > 0")
	d.holds("the policy that is kept out is named", "document.querySelector('#policy').textContent.includes('nonsense')")
	d.holds("so is what failed", "document.querySelector('#troubles').textContent.includes('could not be opened')")
	d.holds("the board lists the holder", "[...document.querySelectorAll('#holder-rows tr')].some(r => r.textContent.includes('private') && r.textContent.includes('ada'))")
	if d.eval("document.body.textContent.includes('127.0.0.1')") == "true" && d.eval("document.querySelector('#holder-rows').textContent.includes('127.0.0.1')") == "true" {
		t.Error("the board has the address of a peer")
	}
	d.looks("serving", 320, 1280, 3840)
	d.computes()

	s.signal(t, syscall.SIGTERM)
	d.await("document.querySelector('#word').textContent", "Lame duck")
	d.await("document.querySelector('#say').textContent.split('.')[0]", "Lame duck")
	d.looks("lame-duck", 320, 1280)
	d.act("undo", "Back to serving?")
	d.await("document.querySelector('#word').textContent", "Serving")
	d.await("document.querySelector('#said').textContent", "The drain is taken back.")

	var crowd []net.Conn
	for range 60 {
		crowd = append(crowd, dial(t, s.web))
	}
	s.signal(t, syscall.SIGTERM)
	d.await("document.querySelector('#word').textContent", "Lame duck")
	d.act("ack", "End the lame duck?")
	d.await("document.querySelector('#word').textContent", "Draining")
	stopLoad()
	d.holds("those first that are waited for, and how many more there are", "document.querySelectorAll('#holder-rows tr').length === 8 && document.querySelector('#board-rest').textContent === 'and 55 more: 55 handshake'")
	d.holds("idle ones are closed sooner", "[...document.querySelectorAll('#holder-rows tr')].at(-1).textContent.includes('closed as idle within')")
	d.visible("said", false) // for a while only
	d.looks("crowd", 320, 1280)
	for _, w := range crowd {
		_ = w.Close()
	}
	d.holds("the board says who holds it", "document.querySelector('#h-board').textContent === 'Who holds the drain' && document.querySelectorAll('#holder-rows tr').length === 3")
	d.holds("there is a bar for the deadline", "document.querySelector('#bar-deadline')?.value > 0 && document.querySelector('#bar-gone')?.max >= 3")
	d.looks("draining", 320, 1280, 3840)
	if got := d.eval("document.title"); !strings.HasPrefix(got, "Draining 3 connections") {
		t.Errorf("the title is %q", got)
	}

	// What has the focus keeps it while the board is drawn again and again.
	button := "[...document.querySelectorAll('#holder-rows tr')].find(r => r.textContent.includes('private'))?.querySelector('button')"
	d.eval("(window.held = " + button + ").focus()")
	before := d.eval("document.querySelector('#link-text').textContent")
	d.holds("two more looks", "document.querySelector('#link-text').textContent !== '"+before+"'")
	if d.eval("document.activeElement === window.held") != "true" {
		t.Error("the button has lost the focus")
	}
	for _, what := range []string{"private", "events", "tcp"} {
		d.eval("[...document.querySelectorAll('#holder-rows tr')].find(r => r.textContent.includes('" + what + "')).querySelector('button').focus()")
		d.confirm("Close connection ")
		d.holds("it is gone: "+what, "![...document.querySelectorAll('#holder-rows tr')].some(r => r.textContent.includes('"+what+"'))")
	}
	clean(t, b, origin)
	d.await("document.querySelector('#word').textContent", "Gone")
	d.holds("the account is there", "document.querySelector('#means').textContent.includes('cut 3')")
	d.looks("gone", 1280)
	if code := s.exit(t, patience); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	// Asking whether somebody is there again is an error to the console; nothing else is.
	for _, f := range b.faults {
		if !strings.Contains(f, "ERR_CONNECTION_REFUSED") && !strings.Contains(f, "503") {
			t.Errorf("the console says %s", f)
		}
	}
	b.faults = nil
	clean(t, b, origin)
}

// dashboardPolicy has a cluster that nobody answers for.
func dashboardPolicy(t *testing.T, up *upstream, version string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = ln.Close()
	p := strings.Replace(policyFor(up.web, up.raw, version), "prefix: /private", "prefix: /slow", 1)
	p = strings.Replace(p, "clusters:\n", fmt.Sprintf("clusters:\n  gone: {endpoints: [%q]}\n", ln.Addr()), 1)
	return strings.Replace(p, "routes:\n", "routes:\n- {name: events, path: {prefix: /events}, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}\n"+
		"- {name: broken, path: {prefix: /broken}, cluster: gone, policy: [{allow: {and: [{accept: true}]}}]}\n", 1)
}

// dashboardLoad asks all the time, until the function that it returns is called.
func dashboardLoad(t *testing.T, s *sluice) (stop func()) {
	quit := make(chan struct{})
	var running sync.WaitGroup
	for _, path := range []string{"/", "/", "/events?d=100ms", "/broken"} {
		running.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-quit:
					return
				case <-time.After(10 * time.Millisecond): // load, and not a wait for anything
				}
				if path != "/broken" || n%20 == 0 {
					_, _ = once(s.web, get(path)) // what it gets is for the page to tell
				}
			}
		})
	}
	stop = sync.OnceFunc(func() { close(quit); running.Wait() })
	t.Cleanup(stop)
	return stop
}

// axeCore is the source of axe-core.
func axeCore(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	do(t, "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", dir, "axe-core@4")
	return read(t, filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
}

// clean asserts that the page asked nobody but its origin, and complained of nothing.
func clean(t *testing.T, b *browser, origin string) {
	t.Helper()
	for _, r := range b.requests {
		if !strings.HasPrefix(r, origin+"/") && r != "about:blank" {
			t.Errorf("the page asks for %s", r)
		}
	}
	if len(b.faults) > 0 {
		t.Errorf("the console says %q", b.faults)
	}
}
