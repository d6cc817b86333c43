package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestDashboardThroughAnUpgrade: the page goes on with the successor, looks from there at the
// generation that drains, closes what holds it, and comes back when that one is gone.
func TestDashboardThroughAnUpgrade(t *testing.T) {
	if !heavy() {
		t.Skip("a browser: make heavy")
	}
	up := newUpstream(t)
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, adminToken)
	h := serveHouse(t, up, setup{admin: fmt.Sprintf("{address: \"127.0.0.1:0\", token_file: %q}", token),
		policy: dashboardPolicy(t, up, "v1"), drain: "{timeout: 4m, idle_close: 1m}", extra: quick + "\nplatform: {stop_timeout: 15m}"})
	origin := "http://" + h.listening(t, "component", "admin")
	holds(t, h.sluice, get("/slow?d=10m", "X-Api-Key: "+goodKey))

	b := newBrowser(t)
	d := &dash{browser: b, origin: origin, axe: axeCore(t)}
	b.open(origin+"/dashboard/", "light")
	b.typed(adminToken)
	b.press("Enter")
	d.await("document.querySelector('#word').textContent", "Serving")
	d.visible("generations", false)

	r, err := http.NewRequest("POST", origin+"/upgrade", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+adminToken)
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 200 {
		t.Fatalf("upgrade: %s", res.Status)
	}
	d.holds("the successor is shown", "document.querySelector('#who').textContent.includes('generation 2') && document.querySelector('#word').textContent === 'Serving'")
	d.holds("it is said", "document.querySelector('#said').textContent.startsWith('Another process answers here now')")
	d.holds("the one that drains is there", "document.querySelector('#gens').textContent.includes('Generation 1 drains')")
	d.eval("document.querySelector('#gens button').focus()")
	b.press("Enter")
	d.holds("generation 1 is shown", "document.querySelector('#who').textContent.includes('generation 1') && document.querySelector('#word').textContent === 'Draining'")
	d.holds("it has its holder", "document.querySelector('#holder-rows').textContent.includes('private')")
	d.looks("generation", 320, 1280)
	d.eval("document.querySelector('#holder-rows button').focus()")
	d.confirm("Close connection ")
	d.holds("the page is back at generation 2", "document.querySelector('#who').textContent.includes('generation 2') && document.querySelector('#word').textContent === 'Serving'")
	d.visible("generations", false)
	for _, f := range b.faults { // that generation 1 is gone is an error to the console; nothing else is
		if !strings.Contains(f, "/generations/1/dashboard/events") {
			t.Errorf("the console says %s", f)
		}
	}
	b.faults = nil
	clean(t, b, origin)
}
