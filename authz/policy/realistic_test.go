package policy

import (
	"net/netip"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

// A rule as people write it: nobody who is blocked; of the company or of a group; two methods; a path; the company's network; in office hours;
// with a second factor.
const officeRule = `clusters: {app: {endpoints: ["127.0.0.1:1"]}}
routes:
- name: app7
  cluster: app
  authenticate: [jwt]
  policy:
  - deny: {or: [{user: {in: [u-666, u-667]}}]}
    allow:
      and:
      - or: [{domain: {is: example.com}}, {groups: {has: eng-7}}]
      - http_method: {in: [GET, POST]}
      - http_path: {starts_with: /app7/api/}
      - source_ip: 10.7.0.0/16
      - time_of_day: {after: "08:00", before: "18:00"}
      - claim/amr: {has: mfa}
`

func realisticRequest() (*Program, *authz.Identity, *authz.Request) {
	doc, err := Parse("p.yaml", []byte(officeRule))
	if err != nil {
		panic(err)
	}
	id := &authz.Identity{User: "u-1", Email: "ann@example.org", Groups: []string{"x", "y", "eng-7"}, Claims: map[string][]string{"amr": {"pwd", "mfa"}}}
	req := &authz.Request{Route: "app7", Method: "POST", Host: []byte("app7.example.com"), Path: []byte("/app7/api/users/4711"),
		Time: time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC), Source: netip.MustParseAddr("10.7.1.2")}
	return &Compile(doc).Routes[0], id, req
}

// Each part of it counts, and a decision allocates nothing, whatever it is.
func TestRealisticRule(t *testing.T) {
	p, id, req := realisticRequest()
	for name, c := range map[string]struct {
		change func(*authz.Identity, *authz.Request)
		reason string
	}{
		"all hold":       {func(*authz.Identity, *authz.Request) {}, ReasonOK},
		"blocked":        {func(id *authz.Identity, _ *authz.Request) { id.User = "u-666" }, ReasonUser},
		"of nobody":      {func(id *authz.Identity, _ *authz.Request) { id.Groups = nil }, ReasonNoRule},
		"another method": {func(_ *authz.Identity, r *authz.Request) { r.Method = "PUT" }, ReasonMethod},
		"another path":   {func(_ *authz.Identity, r *authz.Request) { r.Path = []byte("/app7/apis") }, ReasonPath},
		"from elsewhere": {func(_ *authz.Identity, r *authz.Request) { r.Source = netip.MustParseAddr("10.8.0.1") }, ReasonSourceIP},
		"at night":       {func(_ *authz.Identity, r *authz.Request) { r.Time = r.Time.Add(9 * time.Hour) }, ReasonTimeOfDay},
		"by one factor":  {func(id *authz.Identity, _ *authz.Request) { id.Claims = map[string][]string{"amr": {"pwd"}} }, ReasonClaim},
	} {
		i, r := *id, *req
		c.change(&i, &r)
		d := p.Authorize(&i, &r)
		if d.Reason != c.reason || (d.Verdict == authz.Allow) != (c.reason == ReasonOK) {
			t.Errorf("%s: %v %s, want %s", name, d.Verdict, d.Reason, c.reason)
		}
		if n := testing.AllocsPerRun(100, func() { p.Authorize(&i, &r) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkRealistic(b *testing.B) {
	p, id, req := realisticRequest()
	b.ReportAllocs()
	for b.Loop() {
		if d := p.Authorize(id, req); d.Verdict != authz.Allow {
			b.Fatal(d)
		}
	}
}
