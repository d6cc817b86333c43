package grpcprobe

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/health"
)

// serve is a server of HTTP/2 without TLS, and a client of it.
func serve(t *testing.T, r *health.Registry) (call func(method string, message []byte) *http.Response) {
	t.Helper()
	srv := httptest.NewUnstartedServer(New(r))
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(func() { tr.CloseIdleConnections(); srv.Close() })
	return func(method string, message []byte) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+Prefix+method, bytes.NewReader(message))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/grpc")
		req.Header.Set("Te", "trailers")
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
}

// about is a request about a service.
func about(service string) []byte {
	m := append([]byte{1<<3 | 2, byte(len(service))}, service...)
	if service == "" {
		m = nil
	}
	return append([]byte{0, 0, 0, 0, byte(len(m))}, m...)
}

func newRegistry() *health.Registry {
	r := health.NewRegistry(health.Config{})
	r.Declare("policy.sync.initial", health.Required)
	return r
}

// Check says what the probes say.
func TestCheck(t *testing.T) {
	r := newRegistry()
	defer r.Close()
	call := serve(t, r)
	check := func(service string) (status serving, code string) {
		resp := call("Check", about(service))
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if len(b) == 7 {
			status = serving(b[6])
		}
		return status, resp.Trailer.Get("Grpc-Status")
	}
	want := func(when, service string, status serving, code string) {
		t.Helper()
		if s, c := check(service); s != status || c != code {
			t.Errorf("%s, %q: %d with code %q, want %d with %s", when, service, s, c, status, code)
		}
	}
	want("starting", "", notServing, "0")
	want("starting", "live", isServing, "0")
	want("starting", "startup", notServing, "0")
	r.Set("policy.sync.initial", health.Running, nil)
	r.SetProcess(health.ProcessServing, "admitted")
	for _, service := range []string{"", "ready", "serving", "live", "startup"} {
		want("serving", service, isServing, "0")
	}
	want("serving", "Ready", 0, "5")
	r.SetProcess(health.ProcessLameDuck, "SIGTERM")
	want("in the lame duck", "", notServing, "0")
	want("in the lame duck", "serving", isServing, "0")
	want("in the lame duck", "live", isServing, "0")
}

// Watch says each change once, at once.
func TestWatch(t *testing.T) {
	r := newRegistry()
	defer r.Close()
	call := serve(t, r)
	ready, nobody := call("Watch", about("ready")), call("Watch", about("nobody"))
	next := func(resp *http.Response) serving {
		t.Helper()
		var b [7]byte
		if _, err := io.ReadFull(resp.Body, b[:]); err != nil {
			t.Fatal(err)
		}
		return serving(b[6])
	}
	if s := next(nobody); s != serviceUnknown {
		t.Errorf("of a service that is none: %d", s)
	}
	if s := next(ready); s != notServing {
		t.Errorf("at first: %d", s)
	}
	r.Set("policy.sync.initial", health.Running, nil)
	r.SetProcess(health.ProcessServing, "admitted")
	if s := next(ready); s != isServing {
		t.Errorf("then: %d", s)
	}
	r.SetProcess(health.ProcessLameDuck, "SIGTERM")
	if s := next(ready); s != notServing {
		t.Errorf("at last: %d", s)
	}
	_ = ready.Body.Close()
	_ = nobody.Body.Close()
}

// What is no such call is refused.
func TestRefusals(t *testing.T) {
	r := newRegistry()
	defer r.Close()
	call := serve(t, r)
	for name, tc := range map[string]struct {
		method  string
		message []byte
		code    string
	}{
		"another method":     {"List", about(""), "12"},
		"nothing":            {"Check", nil, "3"},
		"too short":          {"Check", []byte{0, 0, 0, 0, 9, 1}, "3"},
		"too long":           {"Check", append([]byte{0, 0, 1, 0, 0}, make([]byte, 1<<16)...), "3"},
		"compressed":         {"Check", []byte{1, 0, 0, 0, 0}, "3"},
		"no message":         {"Watch", []byte{0, 0, 0, 0, 2, 0xff, 0xff}, "3"},
		"a length that lies": {"Check", []byte{0, 0, 0, 0, 3, 10, 200, 'a'}, "3"},
	} {
		resp := call(tc.method, tc.message)
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if got := resp.Trailer.Get("Grpc-Status"); got != tc.code {
			t.Errorf("%s: code %q, want %s", name, got, tc.code)
		}
	}
}

// A message with unknown fields is read around them.
func TestParse(t *testing.T) {
	for in, want := range map[string]string{
		"":                              "",
		"\x0a\x04live":                  "live",
		"\x10\x96\x01\x0a\x01a":         "a",
		"\x0a\x01a\x0a\x01b":            "b",
		"\x11________\x15____\x0a\x01c": "c",
		"\x1a\x02xx\x0a\x00":            "",
	} {
		if got, err := parse([]byte(in)); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"\x00", "\x0a", "\x0a\x02a", "\x0b", "\x11_", "\x15_", "\x08", strings.Repeat("\xff", 11)} {
		if got, err := parse([]byte(in)); err == nil {
			t.Errorf("%q: %q, want an error", in, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("\x0a\x04live"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := parse(b); err == nil && !bytes.Contains(b, []byte(s)) {
			t.Errorf("%q is not in %q", s, b)
		}
	})
}
