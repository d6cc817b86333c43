//go:build !nocel

package celexpr

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/authz"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var alice = &authz.Identity{User: "u-1", Email: "Alice@Example.com", Groups: []string{"eng", "ops"}, Claims: map[string][]string{"amr": {"mfa", "pwd"}}}

func request() *authz.Request {
	return &authz.Request{Route: "r", Method: "GET", Host: []byte("app.test"), Path: []byte("/a/b"), Query: []byte("q=1"),
		Source: netip.MustParseAddr("::ffff:10.1.2.3"), Time: time.Date(2026, 11, 27, 17, 30, 0, 0, time.UTC)}
}

func TestEval(t *testing.T) {
	for text, want := range map[string]bool{
		`true`:                                                       true,
		`user == "u-1"`:                                              true,
		`email == "alice@example.com"`:                               true,
		`domain == "example.com"`:                                    true,
		`domain.endsWith("Example.com")`:                             false,
		`"eng" in groups`:                                            true,
		`groups.exists(g, g == "hr")`:                                false,
		`sets.contains(groups, ["eng"])`:                             true,
		`"mfa" in claims["amr"]`:                                     true,
		`"none" in claims`:                                           false,
		`"none" in claims && "x" in claims["none"]`:                  false,
		`method in ["GET", "HEAD"] && path.startsWith("/a/")`:        true,
		`path.matches("^/a/[a-z]$")`:                                 true,
		`host == "app.test" && query.contains("q=") && route == "r"`: true,
		`cidr("10.0.0.0/8").containsIP(source_ip)`:                   true,
		`cidr("192.168.0.0/16").containsIP(source_ip) || source_ip == ip("10.1.2.3")`: true,
		`source_ip.family() == 6`:                                        false,
		`now.getHours() >= 8 && now.getHours() < 18`:                     true,
		`now.getHours("Europe/Berlin") == 18 && now.getDayOfWeek() == 5`: true,
		`now < timestamp("2026-12-01T00:00:00Z")`:                        true,
		`path.split("/").size() == 3`:                                    true,
	} {
		e, faults := Compile(text)
		if len(faults) > 0 {
			t.Errorf("%s: %v", text, faults)
			continue
		}
		if got, err := e.Eval(alice, request()); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", text, got, err, want)
		}
	}
}

// What cannot be known is an error, never false.
func TestErrors(t *testing.T) {
	nowhere, never := request(), request()
	nowhere.Source, never.Time = netip.Addr{}, time.Time{}
	for _, c := range []struct {
		text string
		id   *authz.Identity
		req  *authz.Request
	}{
		{`"x" in claims["none"]`, alice, request()},
		{`groups[7] == "x"`, alice, request()},
		{`user == "u-1"`, nil, request()},
		{`!("eng" in groups)`, nil, request()},
		{`source_ip.family() == 4`, alice, nowhere},
		{`now < timestamp("2030-01-01T00:00:00Z")`, alice, never},
		{`int(path) == 1`, alice, request()},
		{`groups.all(a, groups.all(b, groups.all(c, groups.all(d, groups.all(e, a + b + c + d + e != "x")))))`, many(), request()}, // too dear
	} {
		e, faults := Compile(c.text)
		if len(faults) > 0 {
			t.Errorf("%s: %v", c.text, faults)
			continue
		}
		if got, err := e.Eval(c.id, c.req); err == nil || got {
			t.Errorf("%s: %v, %v", c.text, got, err)
		}
	}
}

func many() *authz.Identity {
	return &authz.Identity{User: "u", Groups: strings.Fields(strings.Repeat("g ", 100))}
}

func TestFaults(t *testing.T) {
	for text, want := range map[string]string{
		`usr == "u-1"`:                  "undeclared reference to 'usr'",
		`user = "u-1"`:                  "Syntax error",
		`user == 1`:                     "no matching overload",
		`user`:                          "gives string, and has to give bool",
		`claims["a"][0] == "x" ? 1 : 2`: "gives int, and has to give bool",
		`dyn(user)`:                     "gives dyn, and has to give bool",
		`path.matches("[")`:             "invalid matches argument",
		`timestamp("noon") < now`:       "invalid timestamp argument",
		`cidr("10.0.0.0/33").containsIP(source_ip)`:                "invalid cidr argument",
		`source_ip == ip("10.0.0.256")`:                            "invalid ip argument",
		`headers["x"] == "y"`:                                      "undeclared reference to 'headers'",
		strings.Repeat("!", 5000) + "true":                         "",
		strings.Repeat("(", 50) + "true" + strings.Repeat(")", 50): "",
		"user == '" + strings.Repeat("x", MaxSize) + "'":           "size exceeds limit",
	} {
		e, faults := Compile(text)
		if e != nil || len(faults) == 0 || !strings.Contains(faults[0].Message, want) || faults[0].Line < 1 {
			t.Errorf("%.40s: %v, want %s", text, faults, want)
		}
	}
	_, faults := Compile("true &&\n  usr == 'a'")
	if len(faults) != 1 || faults[0].Line != 2 || faults[0].Column != 2 {
		t.Errorf("%+v", faults)
	}
}

func TestFacts(t *testing.T) {
	for text, want := range map[string]Facts{
		`true`:           {},
		`method == path`: {Method: true, Path: true},
		`user == email`:  {Identity: true},
		`"a" in groups`:  {Identity: true, Groups: true},
		`"a" in claims`:  {Identity: true, Claims: true},
		`source_ip == ip("::1") || now == timestamp("2026-01-01T00:00:00Z")`: {SourceIP: true, Time: true},
		`host == query`: {Query: true},
	} {
		e, faults := Compile(text)
		if len(faults) > 0 || e.Facts() != want {
			t.Errorf("%s: %v, want %+v", text, faults, want)
		}
	}
	for _, v := range Variables() {
		e, faults := Compile("type(" + v.Name + ") == int || true")
		if len(faults) > 0 || e.Facts().Identity != v.Identity {
			t.Errorf("%s: %v", v.Name, faults)
		}
		if v.Meaning == "" || v.Type == "" {
			t.Errorf("%s is not explained", v.Name)
		}
	}
}

// FuzzCompile: no text makes it panic, and what compiles costs no more than it may.
func FuzzCompile(f *testing.F) {
	f.Add(`user == "u-1" && groups.exists(g, g.startsWith("a"))`)
	f.Add(`cidr("10.0.0.0/8").containsIP(source_ip) ? now.getHours() > 1 : path.matches("a+")`)
	f.Fuzz(func(t *testing.T, text string) {
		e, faults := Compile(text)
		if (e == nil) != (len(faults) > 0) {
			t.Fatalf("expression %v, faults %v", e, faults)
		}
		if e != nil {
			_, _ = e.Eval(alice, request())
		}
	})
}

func BenchmarkEval(b *testing.B) {
	e, faults := Compile(`"eng" in groups && method in ["GET", "HEAD"] && path.startsWith("/a/") && cidr("10.0.0.0/8").containsIP(source_ip)`)
	if len(faults) > 0 {
		b.Fatal(faults)
	}
	req := request()
	b.ReportAllocs()
	for b.Loop() {
		if met, err := e.Eval(alice, req); !met || err != nil {
			b.Fatal(met, err)
		}
	}
}
