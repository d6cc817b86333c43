package policy

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

// The oracle reads rules as the documentation says them: no program, no short cuts,
// sets of values instead of an order of evaluation.

type truths map[value]bool

func (o oracle) list(list []Expr) truths {
	all := truths{}
	for i := range list {
		all[o.expr(&list[i])] = true
	}
	return all
}

type oracle struct {
	id     *authz.Identity
	req    *authz.Request
	forced map[string]value // what tests are said to be, by their text
}

func negate(t truths) truths {
	return truths{no: t[yes], yes: t[no], unknown: t[unknown], failed: t[failed]}
}

func (o oracle) expr(e *Expr) value {
	switch e.Op {
	case And:
		return conjunction(o.list(e.List))
	case Or:
		return disjunction(o.list(e.List))
	case Not:
		return conjunction(negate(o.list(e.List)))
	case Nor:
		return disjunction(negate(o.list(e.List)))
	}
	return o.test(&e.Test)
}

func conjunction(t truths) value {
	for _, v := range []value{no, failed, unknown} {
		if t[v] {
			return v
		}
	}
	return yes
}

func disjunction(t truths) value {
	for _, v := range []value{yes, failed, unknown} {
		if t[v] {
			return v
		}
	}
	return no
}

func (o oracle) test(t *Test) value {
	if o.forced != nil {
		if v, ok := o.forced[t.String()]; ok {
			return v
		}
	}
	var subject []string
	if slices.Contains([]Criterion{AuthenticatedUser, Email, Domain, User, Groups, Claim}, t.Criterion) && o.id == nil {
		return unknown
	}
	values := t.Values
	switch t.Criterion {
	case Accept, AuthenticatedUser:
		return yes
	case Reject:
		return no
	case CORSPreflight:
		return is(o.req.Preflight)
	case Email, Domain:
		s := strings.ToLower(o.id.Email)
		if t.Criterion == Domain {
			if at := strings.LastIndex(s, "@"); at >= 0 {
				s = s[at+1:]
			} else {
				s = ""
			}
		}
		subject = []string{s}
		values = strings.Split(strings.ToLower(strings.Join(values, "\x00")), "\x00")
	case User:
		subject = []string{o.id.User}
	case Groups:
		subject = o.id.Groups
	case Claim:
		subject = o.id.Claims[t.Claim]
	case HTTPMethod:
		subject = []string{o.req.Method}
	case HTTPPath:
		subject = []string{string(o.req.Path)}
	case ClientCertificate:
		return o.certificate(t)
	case Date, TimeOfDay, DayOfWeek:
		return o.time(t)
	case SourceIP:
		if !o.req.Source.IsValid() {
			return failed
		}
		for _, n := range t.Nets {
			if n.Contains(o.req.Source) {
				return yes
			}
		}
		return no
	}
	one := ""
	if len(subject) > 0 {
		one = subject[0]
	}
	return is(map[Matcher]bool{
		Is: one == values[0], IsNot: one != values[0],
		In: slices.Contains(values, one), NotIn: !slices.Contains(values, one),
		Contains: strings.Contains(one, values[0]), StartsWith: strings.HasPrefix(one, values[0]), EndsWith: strings.HasSuffix(one, values[0]),
		Has: slices.Contains(subject, values[0]), Exclude: !slices.Contains(subject, values[0]),
		ListIs: len(subject) == 1 && one == values[0],
	}[t.Matcher])
}

// time reads windows as they are written: as text.
func (o oracle) time(t *Test) value {
	if o.req.Time.IsZero() {
		return failed
	}
	now, w := o.req.Time.In(t.Window.Zone), t.Window
	clock := func(s int64) string { return time.Unix(s, 0).UTC().Format(time.TimeOnly) }
	switch at := now.Format(time.TimeOnly); {
	case t.Criterion == Date:
		return is(!now.Before(time.Unix(w.From, 0)) && now.Before(time.Unix(w.Before, 0)))
	case t.Criterion == DayOfWeek:
		return is(w.Days&(1<<slices.Index(dayWords, strings.ToLower(now.Format("Mon")))) != 0)
	case w.From < w.Before:
		return is(clock(w.From) <= at && at < clock(w.Before))
	default:
		return is(clock(w.From) <= at || at < clock(w.Before))
	}
}

func (o oracle) certificate(t *Test) value {
	c := o.req.Certificate
	if c == nil {
		return unknown
	}
	if t.Claim == "" {
		return yes
	}
	v := t.Values[0]
	met := func(s string) bool {
		return map[Matcher]bool{Is: s == v, In: s == v, Contains: strings.Contains(s, v), StartsWith: strings.HasPrefix(s, v), EndsWith: strings.HasSuffix(s, v)}[t.Matcher]
	}
	subject := map[string][]string{certFingerprint: {c.Fingerprint}, certURI: c.URIs, certDNS: c.DNSNames}[t.Claim]
	if t.Matcher == IsNot || t.Matcher == NotIn {
		return is(!slices.Contains(subject, v))
	}
	return is(slices.ContainsFunc(subject, met))
}

func (o oracle) verdict(r *Rules) authz.Verdict {
	allow, deny := truths{}, truths{}
	for _, rule := range r.List {
		for v := range o.list(rule.Allow) {
			allow[v] = true
		}
		for v := range o.list(rule.Deny) {
			deny[v] = true
		}
	}
	d, a := disjunction(deny), disjunction(allow)
	switch {
	case d == yes, d == failed, a == no, a == failed:
		return authz.Deny
	case d == unknown, a == unknown:
		return authz.Challenge
	}
	return authz.Allow
}

// dice makes rules, identities and requests from a few words, so that they meet.
type dice struct{ *rand.Rand }

func (d dice) of(words ...string) string { return words[d.IntN(len(words))] }

func (d dice) some(words ...string) []string {
	out := []string{}
	for _, w := range words {
		if d.IntN(2) == 0 {
			out = append(out, w)
		}
	}
	return out
}

func (d dice) expr(depth int) Expr {
	if depth > 0 && d.IntN(3) > 0 {
		e := Expr{Op: Op(d.IntN(4))}
		for range 1 + d.IntN(3) {
			e.List = append(e.List, d.expr(depth-1))
		}
		return e
	}
	t := Test{Criterion: Criterion(d.IntN(int(DayOfWeek) + 1))}
	switch t.Criterion {
	case Accept, Reject, AuthenticatedUser, CORSPreflight:
	case Date, TimeOfDay, DayOfWeek:
		return Expr{Op: Leaf, Test: t.at(d.window())}
	case SourceIP:
		t.Matcher = Within
		t.Nets = []netip.Prefix{netip.MustParsePrefix(d.of("10.0.0.0/8", "0.0.0.0/0", "::/0", "10.1.2.3/32"))}
	case ClientCertificate:
		t.Claim = d.of("", certFingerprint, certURI, certDNS)
		if t.Claim != "" {
			t.Matcher = Is + Matcher(d.IntN(7))
			t.Values = []string{d.of("a", "b", "ab")}
		}
	case Groups, Claim:
		t.Matcher = Has + Matcher(d.IntN(3))
		t.Claim = d.of("x", "y")
		t.Values = []string{d.of("a", "b", "c")}
	default:
		t.Matcher = Is + Matcher(d.IntN(7))
		t.Values = []string{d.of("a", "b", "ab", "B@a", "/a", "GET")}
		if t.Matcher == In || t.Matcher == NotIn {
			for range d.IntN(12) {
				t.Values = append(t.Values, d.of("a", "b", "ab", "a@B", "/a/b", "c", "d", "e"))
			}
		}
	}
	return Expr{Op: Leaf, Test: t}
}

func (d dice) window() Window {
	hours := d.IntN(12)
	zone := time.FixedZone(string(rune('a'+hours)), 3600*hours)
	return Window{From: int64(d.IntN(86_400)), Before: int64(d.IntN(86_400)), Days: uint8(d.IntN(128)), Zone: zone}
}

func (d dice) rules() *Rules {
	r := &Rules{}
	for range 1 + d.IntN(3) {
		var rule Rule
		for range d.IntN(3) {
			rule.Allow = append(rule.Allow, d.expr(3))
		}
		for range d.IntN(2) {
			rule.Deny = append(rule.Deny, d.expr(3))
		}
		r.List = append(r.List, rule)
	}
	return r
}

func (d dice) query() (*authz.Identity, *authz.Request) {
	req := &authz.Request{Method: d.of("GET", "a"), Path: []byte(d.of("/a", "/a/b", "/b")), Preflight: d.IntN(2) == 0}
	if d.IntN(8) > 0 {
		req.Time = time.Unix(d.Int64N(172_800), 0)
	}
	if d.IntN(4) > 0 {
		req.Source = netip.MustParseAddr(d.of("10.1.2.3", "10.2.2.2", "192.168.1.1", "::1"))
	}
	if d.IntN(3) > 0 {
		req.Certificate = &authz.ClientCertificate{Fingerprint: d.of("a", "b"), URIs: d.some("a", "b", "ab"), DNSNames: d.some("ab", "c")}
	}
	if d.IntN(3) == 0 {
		return nil, req
	}
	return &authz.Identity{
		User: d.of("a", "b", "ab"), Email: d.of("", "a@b", "B@A", "a"), Groups: d.some("a", "b", "c"),
		Claims: map[string][]string{"x": d.some("a", "b"), "y": d.some("c")},
	}, req
}

func differ(t *testing.T, seed uint64, verdicts map[authz.Verdict]int) {
	d := dice{rand.New(rand.NewPCG(seed, 1))}
	r := d.rules()
	p := CompileRules(r)
	for range 8 {
		id, req := d.query()
		got, want := p.Authorize(id, req), oracle{id: id, req: req}.verdict(r)
		if got.Verdict != want || !slices.Contains(reasons[:], got.Reason) {
			t.Fatalf("seed %d: %+v, want %v\nrules %+v\nidentity %+v\nrequest %+v", seed, got, want, r, id, req)
		}
		verdicts[want]++
	}
}

func TestProgramsAgreeWithTheOracle(t *testing.T) {
	verdicts := map[authz.Verdict]int{}
	for seed := range uint64(20_000) {
		differ(t, seed, verdicts)
	}
	for _, v := range []authz.Verdict{authz.Allow, authz.Deny, authz.Challenge} {
		if verdicts[v] < 1000 {
			t.Errorf("only %d decisions were %v", verdicts[v], v)
		}
	}
}

func FuzzProgramsAgreeWithTheOracle(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { differ(t, seed, map[authz.Verdict]int{}) })
}
