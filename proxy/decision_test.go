package proxy

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/policy"
)

// BenchmarkDecision finds the route of a request and authorizes it, on routes chosen at
// random among all, each with a host, a path and values of its own in its rules: what
// more routes cost is the difference. The request lies in the cache, as one that was
// just received does.
func BenchmarkDecision(b *testing.B) {
	for _, n := range []int{10, 100_000} {
		b.Run(fmt.Sprintf("routes=%d", n), func(b *testing.B) {
			snap := decisions(b, n)
			rng := rand.New(rand.NewPCG(1, 2))
			id := &authz.Identity{User: "u-1", Email: "a@example.com", Groups: []string{"x", ""}}
			req := authz.Request{Method: "POST", Source: netip.MustParseAddr("10.1.2.3")}
			group := append(make([]byte, 0, 16), 'g')
			b.ReportAllocs()
			for b.Loop() {
				r := rng.IntN(n)
				req.Host = append(strconv.AppendInt(append(req.Host[:0], 'h'), int64(r), 10), ".example.com"...)
				req.Path = append(strconv.AppendInt(append(req.Path[:0], "/app"...), int64(r), 10), "/users/4711"...)
				group = strconv.AppendInt(group[:1], int64(r), 10)
				id.Groups[1] = unsafe.String(&group[0], len(group)) // nobody keeps it
				i, _ := snap.table.Match(req.Host, req.Path, req.Method)
				if d := snap.routes[i].Authorizer.Authorize(id, &req); d.Verdict != authz.Allow || i != r {
					b.Fatal(i, d)
				}
			}
		})
	}
}

// decisions is a snapshot of n routes.
func decisions(b *testing.B, n int) *Snapshot {
	var src strings.Builder
	src.WriteString("clusters:\n  app: {endpoints: [\"127.0.0.1:9000\"]}\nroutes:\n")
	for i := range n {
		fmt.Fprintf(&src, "- name: r%d\n  hosts: [h%d.example.com]\n  path: {prefix: /app%d}\n  cluster: app\n  authenticate: [api_key]\n  policy:\n", i, i, i)
		fmt.Fprintf(&src, "  - deny: {or: [{user: {in: [u-666, u-%d]}}]}\n", 1000+i)
		fmt.Fprintf(&src, "    allow:\n      and:\n      - or: [{domain: {is: example.org}}, {groups: {has: g%d}}]\n      - http_path: {starts_with: /app%d/}\n      - source_ip: 10.0.0.0/8\n", i, i)
	}
	doc, err := policy.Parse("p.yaml", []byte(src.String()))
	if err != nil {
		b.Fatal(err)
	}
	core := NewCore(Config{Authenticators: map[string]authz.Authenticator{"api_key": nobody{}}}, nil, nil)
	snap, err := core.compile("v1", doc)
	if err != nil {
		b.Fatal(err)
	}
	return snap
}

type nobody struct{ authz.Authenticator }

func (nobody) ChallengeHeader() string { return "" }
