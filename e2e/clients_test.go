package e2e

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Real clients against a real origin: curl, wrk, h2load and raw sockets, nginx behind.

func TestCurl(t *testing.T) {
	t.Parallel()
	origin := newNginx(t)
	s := serve(t, newUpstream(t), setup{policy: policyFor(origin.addr, origin.addr, "v1")})
	url, dir := "http://"+s.web, t.TempDir()
	body := filepath.Join(dir, "body")
	write(t, body, strings.Repeat("upload", 1<<19)) // 3 MiB: curl asks with Expect: 100-continue
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"GET", []string{url + "/"}, "nginx\n200"},
		{"HEAD", []string{"-I", "-o", os.DevNull, url + "/"}, "200"},
		{"HTTP/1.0", []string{"-0", url + "/"}, "nginx\n200"},
		{"two on one connection", []string{url + "/", url + "/"}, "nginx\n200nginx\n200"},
		{"a body", []string{"-d", "a=b", url + "/"}, "nginx\n200"},
		{"a large body", []string{"--data-binary", "@" + body, "-o", os.DevNull, url + "/put"}, "200"},
		{"a chunked body", []string{"-T", body, "-H", "Transfer-Encoding: chunked", "-o", os.DevNull, url + "/put"}, "200"},
		{"a range", []string{"-r", "16-31", url + "/file"}, "0123456789abcdef206"},
		{"without a key", []string{"-o", os.DevNull, url + "/private"}, "401"},
		{"with a key", []string{"-H", "X-Api-Key: " + goodKey, url + "/private"}, "nginx\n200"},
		{"not enough", []string{"-o", os.DevNull, "-H", "X-Api-Key: " + goodKey, url + "/secret"}, "403"},
		{"dots in the path", []string{"--path-as-is", "-o", os.DevNull, url + "/open/../private"}, "401"},
		{"slashes in the path", []string{"--path-as-is", "-o", os.DevNull, url + "//private"}, "401"},
		{"escapes in the path", []string{"--path-as-is", "-o", os.DevNull, url + "/%70rivate"}, "401"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"-sS", "--max-time", "20", "--noproxy", "*", "-w", "%{http_code}"}, c.args...)
			if got := do(t, "curl", args...); got != c.want {
				t.Errorf("got %.200q, want %q", got, c.want)
			}
		})
	}
}

// TestLargeDownload is byte for byte what the origin has.
func TestLargeDownload(t *testing.T) {
	origin := newNginx(t)
	s := serve(t, newUpstream(t), setup{policy: policyFor(origin.addr, origin.addr, "v1")})
	got := filepath.Join(t.TempDir(), "got")
	do(t, "curl", "-sS", "--max-time", "20", "--noproxy", "*", "-o", got, "http://"+s.web+"/file")
	a, b := read(t, got), read(t, filepath.Join(origin.dir, "file"))
	if !bytes.Equal([]byte(a), []byte(b)) {
		t.Errorf("%d bytes, not the %d of the origin", len(a), len(b))
	}
}

// TestWrk loads the proxy through 64 connections.
func TestWrk(t *testing.T) {
	origin := newNginx(t)
	s := serve(t, newUpstream(t), setup{policy: policyFor(origin.addr, origin.addr, "v1")})
	out := do(t, "wrk", "-t1", "-c64", "-d1s", "-H", "X-Api-Key: "+goodKey, "http://"+s.web+"/private")
	if strings.Contains(out, "Socket errors") || strings.Contains(out, "Non-2xx") {
		t.Errorf("wrk saw errors:\n%s", out)
	}
	if m := regexp.MustCompile(`(\d+) requests in`).FindStringSubmatch(out); m == nil || m[1] == "0" {
		t.Errorf("wrk saw no requests:\n%s", out)
	}
}

// TestH2loadOverHTTP1 sends a known number of requests; each is answered, and counted once.
func TestH2loadOverHTTP1(t *testing.T) {
	origin := newNginx(t)
	s := serve(t, newUpstream(t), setup{policy: policyFor(origin.addr, origin.addr, "v1")})
	h2load(t, s, "/private", 5000, 16)
	series := `http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="200",http_route="private"}`
	if got, ok := s.metric(t, series); !ok || got != 5000 {
		t.Errorf("%s is %v, want 5000", series, got)
	}
}

// h2load sends n keep-alive GETs with a key, and asserts that each succeeded.
func h2load(t *testing.T, s *sluice, path string, n, connections int) {
	t.Helper()
	out := do(t, "h2load", "--h1", "-n", strconv.Itoa(n), "-c", strconv.Itoa(connections), "-H", "X-Api-Key: "+goodKey, "http://"+s.web+path)
	if want := strconv.Itoa(n) + " succeeded, 0 failed, 0 errored, 0 timeout"; !strings.Contains(out, want) {
		t.Fatalf("h2load does not say %q:\n%s", want, out)
	}
}

// TestRawSockets: what no library would send, and HTTP allows.
func TestRawSockets(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{})
	for _, c := range []struct {
		name   string
		pieces []string // each written on its own
		want   []string // bodies of the responses, in order
	}{
		{"pipelined", []string{get("/1") + get("/2") + get("/3")}, []string{"GET /1 by ", "GET /2 by ", "GET /3 by "}},
		{"byte by byte", strings.Split(get("/slowly"), ""), []string{"GET /slowly by "}},
		{"an empty line first", []string{"\r\n" + get("/crlf")}, []string{"GET /crlf by "}},
		{"absolute form", []string{"GET http://app.example.com/abs HTTP/1.1\r\nHost: app.example.com\r\n\r\n"}, []string{"GET /abs by "}},
		{"chunks, extensions and trailers", []string{"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
			"3;x=y\r\nabc\r\n", "2\r", "\nde\r\n0\r\nT: v\r\n\r\n"}, []string{"abcde"}},
		{"a body, then the next request", []string{"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get("/next")}, []string{"abc", "GET /next by "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := connect(s.web, patience)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			for _, p := range c.pieces {
				if _, err := io.WriteString(w, p); err != nil {
					t.Fatal(err)
				}
			}
			for i, want := range c.want {
				if a, err := w.read("GET"); err != nil || a.status != 200 || a.body != want {
					t.Errorf("response %d: %d %q %v, want %q", i+1, a.status, a.body, err, want)
				}
			}
		})
	}
}

// TestWithoutAHost: HTTP/1.0 needs no Host, HTTP/1.1, which we speak to the upstream, does,
// and nginx refuses an empty one. Such a request matches routes of any host only.
func TestWithoutAHost(t *testing.T) {
	t.Parallel()
	origin := newNginx(t)
	s := serve(t, newUpstream(t), setup{policy: fmt.Sprintf(`clusters: {app: {endpoints: [%q]}}
routes:
- {name: open, cluster: app, path: {prefix: /open}, policy: [{allow: {and: [{accept: true}]}}]}
- {name: named, hosts: [app.example.com, "*.example.com"], cluster: app, path: {prefix: /}, policy: [{allow: {and: [{accept: true}]}}]}
`, origin.addr)})
	for request, want := range map[string]int{
		"GET /open HTTP/1.0\r\n\r\n":                               200,
		"GET /named HTTP/1.0\r\n\r\n":                              404,
		"GET /named HTTP/1.0\r\nHost: app.example.com\r\n\r\n":     200,
		"GET /open HTTP/1.1\r\n\r\n":                               400,
		"GET /open HTTP/1.1\r\nHost:\r\n\r\n":                      400,
		"GET /open HTTP/1.0\r\nHost:\r\n\r\n":                      400,
		"GET http://app.example.com/named HTTP/1.0\r\n\r\n":        200,
		"GET http://app.example.com/x HTTP/1.0\r\nHost: b\r\n\r\n": 400,
	} {
		if a, err := once(s.web, request); err != nil || a.status != want {
			t.Errorf("%q: status %d %q, %v; want %d", request, a.status, a.body, err, want)
		}
	}
}
