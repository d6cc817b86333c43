package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// Chromium as a client of HTTP/2: a page that fetches, follows events and talks on WebSockets while the proxy under it is
// replaced, and then stopped.

// busyPage keeps an account of all that it does.
const busyPage = `<!doctype html><title>busy</title><script>
const seen = {fetched: 0, failed: [], events: 0, streams: 0, closes: [], sent: [], faults: []};
let going = true;
const body = n => String(n % 10).repeat(100 + n % 7 * 3001);
async function posts() {
  for (let n = 0; going; n++) {
    try {
      const want = body(n);
      const r = await fetch('/echo', {method: 'POST', body: want});
      const got = await r.text();
      if (r.status !== 200 || got !== want) throw new Error('status ' + r.status + ', ' + got.length + ' bytes');
      seen.fetched++;
    } catch (e) { seen.failed.push(new Date().toISOString() + ' ' + e); }
    await new Promise(done => setTimeout(done, 5));
  }
}
function events() {
  const es = new EventSource('/events?d=300ms');
  es.onopen = () => seen.streams++;
  es.onmessage = () => seen.events++;
}
function socket(i) {
  const ws = new WebSocket('wss://' + location.host + '/socket/' + i);
  ws.binaryType = 'arraybuffer';
  let sent = 0, got = 0, timer;
  ws.onopen = () => { timer = setInterval(() => {
    if (ws.readyState !== WebSocket.OPEN) return;
    const message = new DataView(new ArrayBuffer(4 + sent % 900));
    message.setUint32(0, sent++);
    ws.send(message);
  }, 5); };
  ws.onmessage = e => {
    const n = new DataView(e.data).getUint32(0);
    if (n !== got++) seen.faults.push('socket ' + i + ': message ' + n);
  };
  ws.onclose = e => {
    clearInterval(timer);
    seen.closes.push({socket: i, code: e.code, reason: e.reason, clean: e.wasClean, sent: sent});
    if (e.code === 1012) socket(i + 100);
  };
}
const posting = Promise.all([posts(), posts()]);
events(); for (let i = 0; i < 3; i++) socket(i);
</script>`

// busy is the account of the page.
type busy struct {
	Fetched, Events, Streams int
	Failed, Faults           []string
	Closes                   []struct {
		Socket, Code, Sent int
		Reason             string
		Clean              bool
	}
}

func (b *browser) account() (a busy) {
	b.t.Helper()
	if err := json.Unmarshal([]byte(b.eval("JSON.stringify(seen)")), &a); err != nil {
		b.t.Fatal(err)
	}
	return a
}

// until asks the page until its account is as it should be.
func (b *browser) until(what string, holds func(a busy) bool) {
	b.t.Helper()
	for limit := time.Now().Add(2 * patience); ; {
		a := b.account()
		if holds(a) {
			return
		}
		if time.Now().After(limit) {
			b.t.Fatalf("%s: %+v", what, a)
		}
		b.eval("new Promise(done => setTimeout(done, 50))")
	}
}

// TestBrowserThroughAnUpgradeAndAStop: the page loses no request, its events go on, and each WebSocket of it hears 1012 from
// the old generation and 1001 from the last.
func TestBrowserThroughAnUpgradeAndAStop(t *testing.T) {
	if !heavy() {
		t.Skip("a browser: make heavy")
	}
	up, sockets := newUpstream(t), newSockets(t)
	mux := http.NewServeMux()
	mux.Handle("/", up.handler())
	mux.HandleFunc("/page", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, busyPage)
	})
	mux.HandleFunc("/favicon.ico", func(http.ResponseWriter, *http.Request) {})
	c, _ := secure(t, "")
	c.drain = "{timeout: 8s, idle_close: 500ms}"
	c.policy = fmt.Sprintf(`clusters: {app: {endpoints: [%q], protocol: http2}, sockets: {endpoints: [%q]}}
routes:
- {name: app, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}
- {name: events, path: {prefix: /events}, cluster: app, drain: {event_stream: end}, policy: [{allow: {and: [{accept: true}]}}]}
- {name: sockets, path: {prefix: /socket}, cluster: sockets, policy: [{allow: {and: [{accept: true}]}}]}
`, newOrigin(t, mux), sockets.addr)
	h := serveHouse(t, up, c)
	_, port, err := net.SplitHostPort(h.web)
	if err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t, "--host-resolver-rules=MAP "+edge().name+" 127.0.0.1")
	b.call("Security.enable", nil, nil)
	b.call("Security.setIgnoreCertificateErrors", map[string]any{"ignore": true}, nil) // the name is right, the authority is ours
	at := url.URL{Scheme: "https", Host: net.JoinHostPort(edge().name, port), Path: "/page"}
	b.open(at.String(), "light")
	b.until("everything is under way", func(a busy) bool { return a.Fetched >= 50 && a.Events >= 20 && a.Streams >= 2 })
	if got := b.eval("[...new Set(performance.getEntriesByType('resource').filter(e => e.name.endsWith('/echo')).map(e => e.nextHopProtocol))].join()"); got != "h2" {
		t.Errorf("the browser speaks %q", got)
	}
	if out, code := h.upgrade(t); code != 0 {
		t.Fatalf("upgrade: exit %d: %s", code, out)
	}
	b.until("three were told of the upgrade", func(a busy) bool { return len(a.Closes) == 3 })
	before := b.account()
	b.until("it goes on", func(a busy) bool { return a.Fetched >= before.Fetched+50 && a.Streams >= before.Streams+2 })
	b.eval("going = false; posting.then(() => 'ended')")
	h.stop(t)
	b.until("the others were told of the stop", func(a busy) bool { return len(a.Closes) == 6 })
	a := b.account()
	if len(a.Failed)+len(a.Faults) > 0 {
		t.Errorf("%d of %d fetches failed: %q; sockets: %q; the browser says %q", len(a.Failed), a.Fetched, a.Failed, a.Faults, b.failures)
	}
	_ = sockets.ln.Close()
	sockets.running.Wait()
	unclean := 0
	for i, e := range a.Closes {
		want := 1012
		if i >= 3 {
			want = 1001
		}
		s := sockets.end(fmt.Sprintf("/socket/%d", e.Socket))
		// The page may say more while its browser has answered the Close already.
		if !e.Clean {
			unclean++ // what the browser calls so: with this code and reason it has heard the Close all the same
		}
		if e.Code != want || !strings.Contains(e.Reason, "retry-after=") || s.err != nil || s.code != want || s.read == 0 || int(s.read) > e.Sent {
			t.Errorf("%+v, want %d; its server heard %d, %v, and %d messages", e, want, s.code, s.err, s.read)
		}
	}
	t.Logf("%d posts, %d events of %d streams, %d WebSockets, of which it calls %d not clean", a.Fetched, a.Events, a.Streams, len(a.Closes), unclean)
}
