package e2e

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// G9: it fails closed. Unknown, unparsable, unauthenticated, unauthorised, or unable to
// decide means refused, with a clear answer.

// TestG9BadMessages sends what DESIGN 10 and RFC 9112 forbid. Each gets its one answer and
// a close, and never reaches the upstream.
func TestG9BadMessages(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{extra: "limits: {head: 4KiB, line: 2KiB, fields: 20}"})
	head := func(fields ...string) string { return get("/bad", fields...) }
	for _, c := range []struct {
		name, request string
		want          int
	}{
		{"no host", "GET /bad HTTP/1.1\r\n\r\n", 400},
		{"two hosts", head("Host: other.example.com"), 400},
		{"a host that is none", "GET /bad HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
		{"length and transfer encoding", head("Content-Length: 3", "Transfer-Encoding: chunked") + "0\r\n\r\n", 400},
		{"two lengths", head("Content-Length: 3", "Content-Length: 4") + "abcd", 400},
		{"a length with a sign", head("Content-Length: +3") + "abc", 400},
		{"a negative length", head("Content-Length: -1"), 400},
		{"a length past 64 bits", head("Content-Length: 99999999999999999999"), 400},
		{"two transfer encodings", head("Transfer-Encoding: chunked, chunked") + "0\r\n\r\n", 400},
		{"chunked is not last", head("Transfer-Encoding: chunked, identity") + "0\r\n\r\n", 400},
		{"a transfer encoding in disguise", head("Transfer-Encoding: xchunked"), 400},
		{"a bare LF", "GET /bad HTTP/1.1\nHost: app.example.com\n\n", 400},
		{"a bare CR", head("X: a\rb"), 400},
		{"obs-fold", head("X: a", " b"), 400},
		{"NUL in a value", head("X: a\x00b"), 400},
		{"space before the colon", head("X : a"), 400},
		{"no colon", head("X"), 400},
		{"an empty name", head(": a"), 400},
		{"spaces in the request line", "GET  /bad HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"no version", "GET /bad\r\n\r\n", 400},
		{"a version in lower case", "GET /bad http/1.1\r\nHost: a\r\n\r\n", 400},
		{"a preface of HTTP/2 that goes wrong", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 505},
		{"a version of tomorrow", "GET /bad HTTP/3.0\r\nHost: a\r\n\r\n", 505},
		{"a control byte in the target", "GET /b\x01d HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"a fragment", "GET /bad#x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"an encoded slash", get("/a%2fb"), 400},
		{"an encoded backslash", get("/a%5cb"), 400},
		{"an encoded NUL", get("/a%00b"), 400},
		{"a bad escape", get("/a%zz"), 400},
		{"a backslash", get(`/a\b`), 400},
		{"above the root", get("/../etc"), 400},
		{"above the root, encoded", get("/a/%2e%2e/%2e%2e/etc"), 400},
		{"a path parameter", get("/a;b=c"), 400},
		{"a bad chunk size", head("Transfer-Encoding: chunked") + "x\r\n", 400},
		{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 \r\n\r\n", 400},
		{"an expectation nobody knows", head("Expect: 200-nothing"), 417},
		{"a line that is too long", get("/" + strings.Repeat("a", 3<<10)), 414},
		{"a head that is too long", head("X: " + strings.Repeat("a", 5<<10)), 431},
		{"too many fields", head(strings.Split(strings.Repeat("X: a\n", 30)+"X: a", "\n")...), 431},
		{"CONNECT", "CONNECT app.example.com:443 HTTP/1.1\r\nHost: app.example.com:443\r\n\r\n", 501},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(up.log("/bad"))
			w := dial(t, s.web)
			wi := &wire{w, bufio.NewReader(w)}
			_, _ = io.WriteString(w, c.request) // a refusal may overtake the end of it
			a, err := wi.read("GET")
			if err != nil {
				t.Fatalf("no answer: %v", err)
			}
			if a.status != c.want {
				t.Errorf("status %d %q, want %d", a.status, a.body, c.want)
			}
			if a.body == "" {
				t.Error("the answer does not say what is wrong")
			}
			if rest, err := io.ReadAll(wi.in); len(rest) > 0 || isTimeout(err) {
				t.Errorf("after the answer: %q, %v; want a close", rest, err)
			}
			// A bad chunk comes to light after the head was forwarded: there the
			// upstream may see a request, but never a whole one.
			if n := len(up.log("/bad")) - before; n > 0 && !strings.Contains(c.name, "chunk size") {
				t.Errorf("the upstream saw %d requests", n)
			}
		})
	}
	s.stillServes(t)
}

// TestG9Credentials: what does not open the door.
func TestG9Credentials(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{})
	for _, c := range []struct {
		name   string
		path   string
		fields []string
		want   int
	}{
		{"none", "/private", nil, 401},
		{"the good one", "/private", []string{"X-Api-Key: " + goodKey}, 200},
		{"the good one as a bearer", "/private", []string{"Authorization: Bearer " + goodKey}, 200},
		{"an unknown one", "/private", []string{"X-Api-Key: nobody"}, 401},
		{"an empty one", "/private", []string{"X-Api-Key:"}, 401},
		{"a prefix of the good one", "/private", []string{"X-Api-Key: " + goodKey[:len(goodKey)-1]}, 401},
		{"more than the good one", "/private", []string{"X-Api-Key: " + goodKey + "0"}, 401},
		{"the good one in capitals", "/private", []string{"X-Api-Key: " + strings.ToUpper(goodKey)}, 401},
		{"a good and a bad one", "/private", []string{"X-Api-Key: " + goodKey, "X-Api-Key: nobody"}, 401},
		{"one that is enormous", "/private", []string{"X-Api-Key: " + strings.Repeat("k", 6000)}, 401},
		{"our own identity header", "/private", []string{"X-Sluice-User: ada"}, 401},
		{"the good one, not enough", "/secret", []string{"X-Api-Key: " + goodKey}, 403},
		{"a host of nobody", "/", nil, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(up.log(""))
			a, err := once(s.web, get(c.path, c.fields...))
			if err != nil || a.status != c.want {
				t.Errorf("status %d %v, want %d", a.status, err, c.want)
			}
			if a.status == 401 && a.head.Get("WWW-Authenticate") == "" {
				t.Error("401 without WWW-Authenticate (RFC 9110 section 15.5.2)")
			}
			if forwarded := len(up.log("")) > before; forwarded != (c.want == 200) {
				t.Errorf("forwarded: %t with status %d", forwarded, a.status)
			}
		})
	}
}

// TestG9IdentityIsOurs: a client cannot say who it is; the upstream learns it from us.
func TestG9IdentityIsOurs(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	s := serve(t, up, setup{})
	if a, err := once(s.web, get("/private", "X-Api-Key: "+goodKey, "X-Sluice-User: root", "x-sluice-user: root",
		"X_Sluice_User: root", "X-Sluice-Groups: admins", "Connection: X-Sluice-User")); err != nil || a.status != 200 {
		t.Fatalf("status %d %v, want 200", a.status, err)
	}
	v := up.log("/private")[0]
	if got := v.head["X-Sluice-User"]; len(got) != 1 || got[0] != "ada" {
		t.Errorf("X-Sluice-User is %q, want ada", got)
	}
	for name, values := range v.head {
		for _, value := range values {
			if value == "root" || value == "admins" {
				t.Errorf("%s: %s of the client went through", name, value)
			}
			if strings.Contains(value, goodKey) {
				t.Errorf("the key went upstream in %s", name)
			}
		}
	}
}

// TestG9BadPolicies are each refused with the place and the word that is wrong.
func TestG9BadPolicies(t *testing.T) {
	t.Parallel()
	const good = "clusters: {app: {endpoints: [\"127.0.0.1:9\"]}}\n"
	for _, c := range []struct{ name, text, want string }{
		{"not YAML", "clusters: {app: [", "main.yaml:1"},
		{"an unknown key", good + "routs: []\n", "routs"},
		{"an unknown criterion", good + "routes: [{name: r, cluster: app, policy: [{allow: {and: [{grups: {has: a}}]}}]}]\n", "grups"},
		{"an unknown operator", good + "routes: [{name: r, cluster: app, policy: [{allow: {and: [{groups: {hass: a}}]}}]}]\n", "hass"},
		{"an unknown action", good + "routes: [{name: r, cluster: app, policy: [{alow: {and: [{accept: true}]}}]}]\n", "alow"},
		{"a dangling cluster", good + "routes: [{name: r, cluster: ap, policy: [{allow: {and: [{accept: true}]}}]}]\n", `"ap"`},
		{"two routes of one name", good + "routes: [{name: r, cluster: app}, {name: r, cluster: app, path: {prefix: /x}}]\n", `"r"`},
		{"an endpoint without a port", "clusters: {app: {endpoints: [\"127.0.0.1\"]}}\n", "127.0.0.1"},
		{"a wrong type", "clusters: {app: {endpoints: 5}}\n", "endpoints"},
		{"a network that is none", good + "routes: [{name: r, cluster: app, policy: [{allow: {and: [{source_ip: 10.0.0.0/99}]}}]}]\n", "10.0.0.0/99"},
		{"a key twice", good + "clusters: {}\n", "clusters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := prepare(t, setup{policy: c.text})
			out, code := command(t, "validate", "-c", filepath.Join(dir, "sluice.yaml"))
			if code != 2 {
				t.Errorf("exit code %d, want 2: %s", code, out)
			}
			if !strings.Contains(out, "main.yaml:") || !strings.Contains(out, c.want) {
				t.Errorf("the answer names neither file nor %q:\n%s", c.want, out)
			}
		})
	}
}

// TestG9BadConfigurations stop the start with exit code 2 and every fault.
func TestG9BadConfigurations(t *testing.T) {
	t.Parallel()
	const good = "version: 1\nlisteners: [{name: web, address: \"127.0.0.1:0\"}]\npolicy: {dir: /nowhere}\n"
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "version"},
		{"not YAML", "a: [", "sluice.yaml:1"},
		{"a version of tomorrow", strings.Replace(good, "version: 1", "version: 2", 1), "version"},
		{"an unknown key", good + "drian: {timeout: 5s}\n", "drain"}, // the suggestion
		{"a duration without a unit", good + "drain: {timeout: 5}\n", "drain.timeout"},
		{"a stop that cannot fit", good + "drain: {timeout: 5m}\n", "platform.stop_timeout"},
		{"an admin listener for everybody", good + "admin: {address: \":9903\"}\n", "admin.token_file"},
		{"a bad address", good + "probes: {address: \"nowhere\"}\n", "probes.address"},
		{"two listeners of one name", strings.Replace(good, "}]", "}, {name: web, address: \"127.0.0.1:0\"}]", 1), "listeners[1].name"},
		{"no listeners", "version: 1\npolicy: {dir: /nowhere}\n", "listeners"},
		{"no policy", "version: 1\nlisteners: [{name: web, address: \"127.0.0.1:0\"}]\n", "policy.dir"},
		{"a limit out of range", good + "limits: {head: 1B}\n", "limits.head"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "sluice.yaml")
			write(t, file, c.text)
			for _, args := range [][]string{{"validate", "-c", file}, {"run", "-c", file}} {
				out, code := command(t, args...)
				if code != 2 {
					t.Errorf("%s: exit code %d, want 2: %s", args[0], code, out)
				}
				if !strings.Contains(out, c.want) {
					t.Errorf("%s does not name %q:\n%s", args[0], c.want, out)
				}
			}
		})
	}
}

// TestG9BadKeyFiles: a proxy that cannot read its keys is not ready, and says why.
func TestG9BadKeyFiles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, text, want string }{
		{"absent", "", "keys.yaml"},
		{"not YAML", "keys: [", "keys.yaml"},
		{"an unknown key", "keys:\n- {id: a, sha265: 00}\n", "sha265"},
		{"a digest that is none", "keys:\n- {id: a, sha256: 00}\n", "sha256"},
		{"one id twice", keyFile("a") + strings.SplitN(keyFile("b"), "\n", 2)[1], "ada"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := prepare(t, setup{policy: policyFor("127.0.0.1:9", "127.0.0.1:9", "v1")})
			keys := filepath.Join(dir, "keys.yaml")
			if c.text == "" {
				if err := os.Remove(keys); err != nil {
					t.Fatal(err)
				}
			} else {
				write(t, keys, c.text)
			}
			out, code := command(t, "validate", "-c", filepath.Join(dir, "sluice.yaml"))
			if code != 2 || !strings.Contains(out, c.want) {
				t.Errorf("validate: exit code %d, want 2 and %q: %s", code, c.want, out)
			}
			s := &sluice{dir: dir}
			s.process = launch(t, nil, built.sluice, "run", "--config", s.file("sluice.yaml"))
			web := s.listening(t, "listener", "web")
			s.probes = s.listening(t, "component", "probes")
			eventually(t, "readiness names the keys", func() bool {
				code, body := s.probe(t, "/readyz?verbose")
				return code == 503 && strings.Contains(body, "authenticate.service") && strings.Contains(body, c.want)
			})
			if a, err := once(web, get("/")); err != nil || a.status != 503 {
				t.Errorf("status %d %v, want 503", a.status, err)
			}
			s.signal(t, syscall.SIGTERM)
			if code := s.exit(t, patience); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
		})
	}
}

// TestG9TCPByAddress: a raw listener whose rule does not allow the peer closes at once.
func TestG9TCPByAddress(t *testing.T) {
	t.Parallel()
	up := newUpstream(t)
	policy := fmt.Sprintf("clusters: {echo: {endpoints: [%q]}}\nroutes: []\ntcp_routes: [{listener: raw, cluster: echo, policy: [{allow: {and: [{source_ip: 10.0.0.0/8}]}}]}]\n", up.raw)
	s := serve(t, up, setup{policy: policy})
	if got := knockTCP(s.raw); got != "tcp closed" {
		t.Errorf("%s, want a close", got)
	}
	if a, err := once(s.web, get("/")); err != nil || a.status != 404 {
		t.Errorf("without a route: status %d %v, want 404", a.status, err)
	}
	if n := len(up.log("")); n != 0 {
		t.Errorf("the upstream saw %d", n)
	}
	_, metrics := s.probe(t, "/metrics")
	if !strings.Contains(metrics, `sluice_authz_decisions_total{decision="deny"`) {
		t.Error("the denial is not in sluice_authz_decisions_total")
	}
}
