package policy

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sluiceproxy/sluice/authz"
)

var _ authz.Authorizer = (*Program)(nil)

// rules reads a policy in flow style.
func rules(t testing.TB, policy string) *Rules {
	t.Helper()
	doc, err := Parse("p.yaml", []byte(route(policy)))
	if err != nil {
		t.Fatal(err)
	}
	return doc.Routes[0].Policy
}

func request() *authz.Request {
	return &authz.Request{
		Route: "r", Method: "GET", Host: []byte("h"), Path: []byte("/app/x"),
		Source: netip.MustParseAddr("10.1.2.3"),
	}
}

var alice = &authz.Identity{
	Method: "api_key", User: "u-1", Email: "Alice@Example.com", Groups: []string{"eng", "ops"},
	Claims: map[string][]string{"amr": {"mfa"}, "a/b": {"x", "y"}},
}

// Every criterion with every matcher, both ways.
func TestCriteria(t *testing.T) {
	eleven := "[a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, u-1]"
	for criterion, want := range map[string]string{
		"accept: true":             "yes",
		"reject: true":             "no reject",
		"authenticated_user: true": "yes",

		"user: u-1":                              "yes",
		"user: U-1":                              "no user-unauthorized",
		"user: {is: u-1}":                        "yes",
		"user: {is: u-2}":                        "no user-unauthorized",
		"user: {not: u-2}":                       "yes",
		"user: {not: u-1}":                       "no user-unauthorized",
		"user: {in: [u-0, u-1]}":                 "yes",
		"user: {in: [u-0, u-2]}":                 "no user-unauthorized",
		"user: {in: " + eleven + "}":             "yes",
		"user: {not_in: " + eleven + "}":         "no user-unauthorized",
		"user: {not_in: [u-0, u-2]}":             "yes",
		"user: {not_in: [u-0, u-1]}":             "no user-unauthorized",
		"user: {contains: '-'}":                  "yes",
		"user: {contains: 'u-11'}":               "no user-unauthorized",
		"user: {starts_with: u}":                 "yes",
		"user: {starts_with: '1'}":               "no user-unauthorized",
		"user: {ends_with: '1'}":                 "yes",
		"user: {ends_with: u}":                   "no user-unauthorized",
		"user: {starts_with: u, ends_with: '2'}": "no user-unauthorized",
		"user: {starts_with: u, ends_with: '1'}": "yes",

		"email: alice@example.com":                  "yes",
		"email: ALICE@example.com":                  "yes",
		"email: bob@example.com":                    "no email-unauthorized",
		"email: {not: alice@example.com}":           "no email-unauthorized",
		"email: {in: [alice@example.com, b@c]}":     "yes",
		"email: {not_in: [alice@example.com, b@c]}": "no email-unauthorized",
		"email: {contains: LICE}":                   "yes",
		"email: {starts_with: alice@}":              "yes",
		"email: {ends_with: '@example.com'}":        "yes",
		"email: {ends_with: '@xample.com'}":         "no email-unauthorized",

		"domain: example.com":                "yes",
		"domain: Example.COM":                "yes",
		"domain: ample.com":                  "no domain-unauthorized",
		"domain: {ends_with: .com}":          "yes",
		"domain: {not: example.com}":         "no domain-unauthorized",
		"domain: {in: [a.org, example.com]}": "yes",

		"groups: eng":            "yes",
		"groups: en":             "no groups-unauthorized",
		"groups: {has: ops}":     "yes",
		"groups: {has: hr}":      "no groups-unauthorized",
		"groups: {is: eng}":      "no groups-unauthorized",
		"groups: {exclude: hr}":  "yes",
		"groups: {exclude: eng}": "no groups-unauthorized",

		"claim/amr: mfa":            "yes",
		"claim/amr: {is: mfa}":      "yes",
		"claim/amr: {has: pwd}":     "no claim-unauthorized",
		"claim/a/b: {has: y}":       "yes",
		"claim/a/b: {is: y}":        "no claim-unauthorized",
		"claim/a/b: {exclude: y}":   "no claim-unauthorized",
		"claim/none: {has: x}":      "no claim-unauthorized",
		"claim/none: {exclude: x}":  "yes",
		"claim/amr/mfa: {has: mfa}": "no claim-unauthorized",

		"http_method: GET":                 "yes",
		"http_method: {in: [POST, GET]}":   "yes",
		"http_method: {not: GET}":          "no http-method-unauthorized",
		"http_method: {not_in: [POST]}":    "yes",
		"http_path: /app/x":                "yes",
		"http_path: /app":                  "no http-path-unauthorized",
		"http_path: {starts_with: /app/}":  "yes",
		"http_path: {starts_with: /app/y}": "no http-path-unauthorized",
		"http_path: {ends_with: /x}":       "yes",
		"http_path: {contains: pp/}":       "yes",
		"http_path: {contains: PP/}":       "no http-path-unauthorized",
		"http_path: {not: /app/x}":         "no http-path-unauthorized",
		"http_path: {in: [/a, /app/x]}":    "yes",
		"http_path: {not_in: [/a]}":        "yes",

		"source_ip: 10.1.2.3":                    "yes",
		"source_ip: 10.1.2.4":                    "no source-ip-unauthorized",
		"source_ip: 10.0.0.0/8":                  "yes",
		"source_ip: ['::/0', 192.168.0.0/16]":    "no source-ip-unauthorized",
		"source_ip: [192.168.0.0/16, 0.0.0.0/0]": "yes",

		"not: [{user: u-1}]":                               "no user-unauthorized",
		"not: [{user: u-2}, {groups: hr}]":                 "yes",
		"not: [{user: u-2}, {groups: eng}]":                "no groups-unauthorized",
		"nor: [{user: u-2}, {groups: eng}]":                "yes",
		"nor: [{user: u-1}, {groups: eng}]":                "no no-rule-matched",
		"or: [{user: u-2}, {groups: eng}]":                 "yes",
		"or: [{user: u-2}, {user: u-3}]":                   "no user-unauthorized",
		"or: [{user: u-2}, {groups: hr}]":                  "no no-rule-matched",
		"and: [{user: u-1}, {groups: hr}, {user: u-3}]":    "no groups-unauthorized",
		"and: [{or: [{user: u-2}, {not: [{user: u-3}]}]}]": "yes",
	} {
		p := CompileRules(rules(t, "{allow: {and: [{"+criterion+"}]}}"))
		d := p.Authorize(alice, request())
		got := "no " + d.Reason
		if d.Verdict == authz.Allow && d.Reason == ReasonOK && d.Rule == 0 {
			got = "yes"
		} else if d.Verdict != authz.Deny || d.Rule != -1 {
			got = fmt.Sprint(d)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", criterion, got, want)
		}
	}
}

func TestDecisions(t *testing.T) {
	anyone, noIP := request(), request()
	noIP.Source = netip.Addr{}
	long := &authz.Identity{User: "u", Email: strings.Repeat("A", 400) + "@b"}
	for _, tt := range []struct {
		name   string
		policy string
		id     *authz.Identity
		req    *authz.Request
		want   authz.Decision
	}{
		{"allow", "[{allow: {or: [{accept: true}]}}]", nil, anyone, authz.Decision{Verdict: authz.Allow, Reason: ReasonOK}},
		{"deny wins", "[{allow: {and: [{accept: true}]}}, {deny: {and: [{user: u-1}]}}]", alice, anyone, authz.Decision{Verdict: authz.Deny, Reason: ReasonUser, Rule: 1}},
		{"deny wins first", "[{deny: {and: [{user: u-1}]}}, {allow: {and: [{accept: true}]}}]", alice, anyone, authz.Decision{Verdict: authz.Deny, Reason: ReasonUser}},
		{"deny everyone", "[{allow: {and: [{accept: true}]}, deny: {and: [{accept: true}]}}]", alice, anyone, authz.Decision{Verdict: authz.Deny, Reason: ReasonReject}},
		{"second rule", "[{allow: {and: [{user: u-9}]}}, {allow: {and: [{groups: eng}]}}]", alice, anyone, authz.Decision{Verdict: authz.Allow, Reason: ReasonOK, Rule: 1}},
		{"any block of an action", "[{allow: {and: [{user: u-9}], or: [{groups: eng}]}}]", alice, anyone, authz.Decision{Verdict: authz.Allow, Reason: ReasonOK}},
		{"no allow at all", "[{deny: {and: [{user: u-9}]}}]", alice, anyone, authz.Decision{Verdict: authz.Deny, Reason: ReasonNoRule, Rule: -1}},
		{"several reasons", "[{allow: {and: [{user: u-9}]}}, {allow: {and: [{groups: hr}]}}]", alice, anyone, authz.Decision{Verdict: authz.Deny, Reason: ReasonNoRule, Rule: -1}},

		{"anonymous", "[{allow: {and: [{user: u-1}]}}]", nil, anyone, authz.Decision{Verdict: authz.Challenge, Reason: ReasonUnauthenticated}},
		{"anonymous, any user", "[{allow: {and: [{authenticated_user: true}]}}]", nil, anyone, authz.Decision{Verdict: authz.Challenge, Reason: ReasonUnauthenticated}},
		{"anonymous, but that is not all", "[{allow: {and: [{user: u-1}, {source_ip: 192.168.0.0/16}]}}]", nil, anyone, authz.Decision{Verdict: authz.Deny, Reason: ReasonSourceIP, Rule: -1}},
		{"anonymous and another way in", "[{allow: {or: [{user: u-1}, {source_ip: 10.0.0.0/8}]}}]", nil, anyone, authz.Decision{Verdict: authz.Allow, Reason: ReasonOK}},
		{"everyone but u-1 lets nobody in unseen", "[{allow: {not: [{user: u-1}]}}]", nil, anyone, authz.Decision{Verdict: authz.Challenge, Reason: ReasonUnauthenticated}},
		{"nor the same", "[{allow: {nor: [{user: u-1}, {groups: x}]}}]", nil, anyone, authz.Decision{Verdict: authz.Challenge, Reason: ReasonUnauthenticated}},
		{"a deny of someone challenges", "[{allow: {and: [{accept: true}]}}, {deny: {or: [{user: u-1}]}}]", nil, anyone, authz.Decision{Verdict: authz.Challenge, Reason: ReasonUnauthenticated, Rule: 1}},
		{"no challenge if nothing is gained", "[{deny: {or: [{user: u-1}]}}]", nil, anyone, authz.Decision{Verdict: authz.Deny, Reason: ReasonNoRule, Rule: -1}},
		{"a deny that is certain", "[{allow: {and: [{user: u-1}]}}, {deny: {or: [{user: u-2}, {source_ip: 10.0.0.0/8}]}}]", nil, anyone, authz.Decision{Verdict: authz.Deny, Reason: ReasonSourceIP, Rule: 1}},

		{"error in allow", "[{allow: {and: [{source_ip: 0.0.0.0/0}]}}]", alice, noIP, authz.Decision{Verdict: authz.Deny, Reason: ReasonError}},
		{"error under not", "[{allow: {not: [{source_ip: 0.0.0.0/0}]}}]", alice, noIP, authz.Decision{Verdict: authz.Deny, Reason: ReasonError}},
		{"error in deny", "[{allow: {and: [{accept: true}]}}, {deny: {or: [{source_ip: 192.168.0.0/16}]}}]", alice, noIP, authz.Decision{Verdict: authz.Deny, Reason: ReasonError, Rule: 1}},
		{"error of the email", "[{allow: {not: [{email: x@y}]}}]", long, anyone, authz.Decision{Verdict: authz.Deny, Reason: ReasonError}},
		{"error beats unknown", "[{allow: {and: [{user: u-1}, {source_ip: 0.0.0.0/0}]}}]", nil, noIP, authz.Decision{Verdict: authz.Deny, Reason: ReasonError}},
	} {
		if got := CompileRules(rules(t, tt.policy)).Authorize(tt.id, tt.req); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestRouteWithoutPolicyRefuses(t *testing.T) {
	want := authz.Decision{Verdict: authz.Deny, Reason: ReasonNoPolicy, Rule: -1}
	if got := CompileRules(nil).Authorize(alice, request()); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := new(Program).Authorize(alice, request()); got != want {
		t.Errorf("zero program: got %+v, want %+v", got, want)
	}
	want.Reason = ReasonNoRule
	if got := CompileRules(&Rules{}).Authorize(alice, request()); got != want {
		t.Errorf("empty list: got %+v, want %+v", got, want)
	}
}

func TestSourceIsUnmapped(t *testing.T) {
	req := request()
	req.Source = netip.MustParseAddr("::ffff:10.1.2.3")
	if d := CompileRules(rules(t, "{allow: {and: [{source_ip: 10.0.0.0/8}]}}")).Authorize(nil, req); d.Verdict != authz.Allow {
		t.Errorf("got %+v", d)
	}
}

func TestTwinsShareAProgram(t *testing.T) {
	src := "clusters: {c: {endpoints: ['h:1']}}\nroutes:\n"
	for i, p := range []string{"{accept: true}", "{accept: true}", "{source_ip: 10.0.0.0/8}", "{source_ip: 10.0.0.0/9}", "{http_path: {starts_with: /a}}", "{http_path: {ends_with: /a}}"} {
		src += fmt.Sprintf("- {name: r%d, cluster: c, policy: {allow: {and: [%s]}}}\n", i, p)
	}
	doc, err := Parse("p.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	p := Compile(doc).Routes
	for i := range p {
		for j := range p {
			if same, want := p[i] == p[j], i == j || i+j == 1; same != want {
				t.Errorf("programs %d and %d: shared %v, want %v", i, j, same, want)
			}
		}
	}
}

func TestFacts(t *testing.T) {
	for policy, want := range map[string]Facts{
		"{allow: {and: [{accept: true}]}}":                                    {},
		"{allow: {and: [{authenticated_user: true}]}}":                        {Identity: true},
		"{allow: {and: [{or: [{groups: a}]}]}}":                               {Identity: true, Groups: true},
		"{deny: {and: [{claim/x: a}]}}":                                       {Identity: true, Claims: true},
		"{allow: {and: [{source_ip: 10.0.0.0/8}]}}":                           {SourceIP: true},
		"{allow: {and: [{http_path: /a}]}, deny: {or: [{http_method: GET}]}}": {Path: true, Method: true},
	} {
		if got := CompileRules(rules(t, policy)).Facts(); got != want {
			t.Errorf("%s: %+v, want %+v", policy, got, want)
		}
	}
}

func TestReasonsAreClosed(t *testing.T) {
	all := Reasons()
	if slices.Contains(all, "") || len(slices.Compact(slices.Sorted(slices.Values(all)))) != len(all) {
		t.Errorf("reasons %q", all)
	}
	all[0] = "changed"
	if reflect.DeepEqual(all, Reasons()) {
		t.Error("Reasons gives the table away")
	}
}

const realistic = `[{deny: {or: [{user: {in: [u-666, u-667]}}]}, allow: {and: [
    {or: [{domain: {is: example.org}}, {groups: {has: ops}}]},
    {http_method: {in: [GET, POST]}}, {http_path: {starts_with: /app/}},
    {source_ip: 10.0.0.0/8}, {claim/amr: {has: mfa}},
    {not: [{http_path: {contains: a path that is longer than thirty-two bytes}}]}]}}]`

func TestAuthorizeAllocatesNothing(t *testing.T) {
	p := CompileRules(rules(t, strings.ReplaceAll(realistic, "a path that is longer than thirty-two bytes", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx")))
	req := request()
	req.Path = []byte("/app/" + strings.Repeat("long/", 100))
	if d := p.Authorize(alice, req); d.Verdict != authz.Allow {
		t.Fatalf("%+v", d)
	}
	paths := CompileRules(rules(t, "{allow: {or: [{http_path: {in: [/a, /b]}}, {http_path: {in: [/1, /2, /3, /4, /5, /6, /7, /8, /9, /10]}}, {email: {in: [a@b, c@d]}}, {domain: example.com}]}}"))
	n := testing.AllocsPerRun(100, func() {
		p.Authorize(alice, req)
		p.Authorize(nil, req)
		paths.Authorize(alice, req)
	})
	if n != 0 {
		t.Errorf("allocations = %v, want 0", n)
	}
}

// manyRoutes is a document in which every route has literals of its own.
func manyRoutes(n int) []byte {
	var b strings.Builder
	b.WriteString("clusters:\n  app: {endpoints: [\"127.0.0.1:9000\"]}\nroutes:\n")
	for i := range n {
		fmt.Fprintf(&b, "- name: r%d\n  hosts: [h%d.example.com]\n  path: {prefix: /app%d}\n  cluster: app\n  authenticate: [api_key]\n  policy:\n", i, i, i)
		fmt.Fprintf(&b, "  - deny: {or: [{user: {in: [u-666, u-%d]}}]}\n", 1000+i)
		fmt.Fprintf(&b, "    allow:\n      and:\n      - or: [{domain: {is: example.org}}, {groups: {has: g%d}}]\n      - http_path: {starts_with: /app%d/}\n      - source_ip: 10.0.0.0/8\n", i, i)
	}
	return []byte(b.String())
}

func BenchmarkAuthorize(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			doc, err := Parse("p.yaml", manyRoutes(n))
			if err != nil {
				b.Fatal(err)
			}
			programs := Compile(doc).Routes
			ids := make([]*authz.Identity, 1<<17)
			reqs := make([]*authz.Request, len(ids))
			which := make([]int, len(ids))
			for i := range ids {
				which[i] = i * 7919 % n
				ids[i] = &authz.Identity{User: "u-1", Email: "a@example.com", Groups: []string{"x", fmt.Sprintf("g%d", which[i])}}
				reqs[i] = request()
				reqs[i].Path = fmt.Appendf(nil, "/app%d/x", which[i])
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				i := i & (1<<17 - 1)
				if d := programs[which[i]].Authorize(ids[i], reqs[i]); d.Verdict != authz.Allow {
					b.Fatal(d)
				}
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	src := manyRoutes(10_000)
	doc, err := Parse("p.yaml", src)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("parse", func(b *testing.B) {
		for b.Loop() {
			_, _ = Parse("p.yaml", src)
		}
	})
	b.Run("compile", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Compile(doc)
		}
	})
}
