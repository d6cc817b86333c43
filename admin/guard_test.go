package admin

import (
	"net/http"
	"testing"
)

// The dashboard's own requests are let in as anybody's: its origin is the Host that it asks.
// That gives it no more than others have.
func TestOwnPage(t *testing.T) {
	token := tokenFile(t, secret)
	for _, w := range []struct {
		address, token, host, header string
		read, write                  int
	}{
		{"127.0.0.1:0", "", "127.0.0.1:9901", "", 200, 403}, // without a token nobody acts over TCP
		{"127.0.0.1:0", token, "127.0.0.1:9901", "", 401, 401},
		{"127.0.0.1:0", token, "localhost:8888", "Bearer " + secret, 200, 200}, // a forwarded port
		{"unix:/x/y", "", "localhost:8888", "", 200, 200},                      // a forwarded socket
		{"unix:/x/y", "", "evil.example", "", 403, 403},
		{":9901", token, "192.0.2.1:9901", "Bearer " + secret, 200, 200},
		{":9901", token, "evil.example", "Bearer " + secret, 403, 403},
		{"admin.internal:9901", token, "admin.internal", "Bearer " + secret, 200, 200},
	} {
		s := newServer(t, Config{Address: w.address, TokenFile: w.token, Hooks: (&calls{}).hooks()})
		for _, scheme := range []string{"http://", "https://"} {
			for _, r := range []struct {
				*http.Request
				want int
			}{{request("GET", "/status", ""), w.read}, {request("POST", "/drain", `{"action":"undo"}`), w.write}} {
				r.Host = w.host
				r.Header.Set("Origin", scheme+w.host)
				r.Header.Set("Sec-Fetch-Site", "same-origin")
				if w.header != "" {
					r.Header.Set("Authorization", w.header)
				}
				if code, body := answer(s.handler(), r.Request); code != r.want {
					t.Errorf("%s as %s%s: %s is %d, want %d: %s", w.address, scheme, w.host, r.Method, code, r.want, body)
				}
			}
		}
	}
}

// The files of the dashboard need no token, for they hold nothing; but no other page may load
// them, and no name that was rebound. Everything else under their path is guarded as ever.
func TestFilesOfTheDashboard(t *testing.T) {
	page := func(r *http.Request) { r.Header.Set("Accept", "text/html,*/*") }
	fetched := func(site, mode, dest string) func(*http.Request) {
		return func(r *http.Request) {
			page(r)
			r.Header.Set("Sec-Fetch-Site", site)
			r.Header.Set("Sec-Fetch-Mode", mode)
			r.Header.Set("Sec-Fetch-Dest", dest)
		}
	}
	evil := func(r *http.Request) { r.Host = "evil.example" }
	for _, w := range []struct {
		name, method, path string
		change             func(*http.Request)
		want               int
	}{
		{"typed", "GET", "/dashboard/", fetched("none", "navigate", "document"), 200},
		{"a link elsewhere", "GET", "/dashboard/", fetched("cross-site", "navigate", "document"), 200},
		{"a part of it", "GET", "/dashboard/main.js", fetched("same-origin", "cors", "script"), 200},
		{"its head", "HEAD", "/dashboard/", page, 200},
		{"without the slash", "GET", "/dashboard", page, 303},
		{"the root, of a browser", "GET", "/", page, 303},
		{"the root, of curl", "GET", "/", func(*http.Request) {}, 401},
		{"somebody's frame", "GET", "/dashboard/", fetched("cross-site", "navigate", "iframe"), 403},
		{"somebody's script", "GET", "/dashboard/main.js", fetched("cross-site", "no-cors", "script"), 403},
		{"a name that was rebound", "GET", "/dashboard/", evil, 403},
		{"the same, followed", "GET", "/dashboard/", func(r *http.Request) { fetched("none", "navigate", "document")(r); evil(r) }, 403},
		{"posted", "POST", "/dashboard/", page, 401},
		{"no such file", "GET", "/dashboard/secret", page, 401},
		{"out of it", "GET", "/dashboard/../status", page, 401},
		{"the events", "GET", "/dashboard/events", page, 401},
		{"the events, followed", "GET", "/dashboard/events", fetched("cross-site", "navigate", "document"), 403},
		{"a file of another generation", "GET", "/generations/2/dashboard/", page, 401},
	} {
		h := newServer(t, Config{TokenFile: tokenFile(t, secret), Hooks: (&calls{}).hooks()}).handler()
		r := request(w.method, w.path, "")
		w.change(r)
		if code, body := answer(h, r); code != w.want {
			t.Errorf("%s: %d, want %d: %.200s", w.name, code, w.want, body)
		}
	}
}

// A socket has no name, and is asked by any; but a name of the DNS may lead a browser to a port
// that is forwarded to it, and a browser that reads its own origin shows no Origin.
func TestNamesOfASocket(t *testing.T) {
	s := newServer(t, Config{Address: "unix:/x/y", Hooks: (&calls{}).hooks()})
	for host, want := range map[string]int{
		"sluice": 200, "localhost": 200, "localhost:8888": 200, "": 200, "127.0.0.1:8888": 200, "[::1]:8888": 200,
		"evil.example": 403, "evil.example:8888": 403, "evil.example.": 403,
	} {
		for _, path := range []string{"/status", "/dashboard/"} {
			r := request("GET", path, "")
			r.Host = host
			if code, body := answer(s.handler(), r); code != want {
				t.Errorf("%q %s: %d, want %d: %s", host, path, code, want, body)
			}
		}
	}
}
