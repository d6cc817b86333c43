package policy

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

func TestExplain(t *testing.T) {
	r := rules(t, `[
 {deny: {or: [{user: {in: [u-666]}}]}},
 {allow: {and: [{groups: admins}, {source_ip: 192.168.0.0/16}]}},
 {allow: {and: [{groups: {has: eng}}, {none_of: [{http_method: GET}]}]}},
]`)
	got := Explain(r, alice, request())
	want := &Trace{
		Decision: authz.Decision{Verdict: authz.Deny, Reason: ReasonNoRule, Rule: -1},
		Rules: []RuleTrace{
			{Allow: []Step{}, Deny: []Step{{Text: "or", Outcome: "not met", Steps: []Step{{"user: {in: [u-666]}", "not met", "u-1", ReasonUser, nil}}}}},
			{Deny: []Step{}, Allow: []Step{{Text: "and", Outcome: "not met", Steps: []Step{
				{"groups: {has: admins}", "not met", "[eng, ops]", ReasonGroups, nil},
				{"source_ip: [192.168.0.0/16]", "not met", "10.1.2.3", ReasonSourceIP, nil}}}}},
			{Deny: []Step{}, Allow: []Step{{Text: "and", Outcome: "not met", Steps: []Step{
				{"groups: {has: eng}", "met", "[eng, ops]", ReasonGroups, nil},
				{Text: "none_of", Outcome: "not met", Steps: []Step{{"http_method: {is: GET}", "met", "GET", ReasonMethod, nil}}}}}}},
		},
		Nearest: &Nearest{Rule: 2, Changes: []string{"http_method: {is: GET} must not be met"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got := Explain(r, nil, request()); !reflect.DeepEqual(got.Rules[0].Deny[0].Steps[0], Step{"user: {in: [u-666]}", "unknown", "nobody is known", ReasonUnauthenticated, nil}) {
		t.Errorf("anonymous: %+v", got)
	}
	if got := Explain(nil, alice, request()); got.Decision.Reason != ReasonNoPolicy || got.Nearest != nil || got.Rules != nil {
		t.Errorf("without a policy: %+v", got)
	}
	if got := Explain(rules(t, "[{allow: {and: [{accept: true}]}, deny: {and: [{accept: true}]}}]"), alice, request()); got.Nearest != nil {
		t.Errorf("nothing helps: %+v", got.Nearest)
	}
}

func TestTestsAreWrittenAsInAPolicy(t *testing.T) {
	for _, text := range []string{
		"accept: true", "authenticated_user: true", "user: {is: a}", "user: {not_in: [a, b]}", "email: {ends_with: @a}",
		"groups: {exclude: a}", "claim/a/b: {is: x}", "http_path: {starts_with: /a}", "source_ip: [10.0.0.0/8, ::1/128]",
		"client_certificate: true", "client_certificate: {uri: {starts_with: spiffe://a}}",
		`time_of_day: {after: "08:00:00", before: "18:00:30", timezone: Europe/Berlin}`, `time_of_day: {before: "06:00:00", timezone: UTC}`,
		`date: {after: "2026-01-02T03:04:05", timezone: Asia/Tokyo}`, "day_of_week: {days: [mon, fri], timezone: UTC}",
	} {
		quoted := strings.NewReplacer("@a", "'@a'", "::1/128", "'::1/128'", "spiffe://a", "'spiffe://a'").Replace(text)
		test := rules(t, "{allow: {and: [{"+quoted+"}]}}").List[0].Allow[0].List[0].Test
		if got := strings.Replace(test.String(), "2026-01-02 03", "2026-01-02T03", 1); got != text {
			t.Errorf("%s is written %s", text, got)
		}
	}
	many := Test{Criterion: User, Matcher: In, Values: strings.Fields("a b c d e f g h i j")}
	if got := many.String(); got != "user: {in: [a, b, c, d, e, f, g, h, and 2 more]}" {
		t.Error(got)
	}
}

// What a trace says, and does not say, is what the oracle finds; and who does what the nearest rule
// asks for is let in.
func TestExplanationsHold(t *testing.T) {
	helped, hopeless := 0, 0
	for seed := range uint64(1500) {
		d := dice{rand.New(rand.NewPCG(seed, 2))}
		r := d.rules()
		id, req := d.query()
		trace := Explain(r, id, req)
		if got := CompileRules(r).Authorize(id, req); trace.Decision != got {
			t.Fatalf("seed %d: %+v, the program says %+v", seed, trace.Decision, got)
		}
		o := oracle{id: id, req: req}
		for i := range r.List {
			sameAsOracle(t, seed, o, r.List[i].Deny, trace.Rules[i].Deny)
			sameAsOracle(t, seed, o, r.List[i].Allow, trace.Rules[i].Allow)
		}
		switch {
		case trace.Decision.Verdict == authz.Allow:
			if trace.Nearest != nil {
				t.Fatalf("seed %d: allowed, and yet %+v", seed, trace.Nearest)
			}
		case trace.Nearest == nil:
			hopeless++
		default:
			o.forced = map[string]value{}
			for _, c := range trace.Nearest.Changes {
				text, met := strings.CutSuffix(c, " must be met")
				text = strings.TrimSuffix(text, " must not be met")
				o.forced[text] = is(met)
			}
			helped++
			if got := o.verdict(r); got != authz.Allow {
				t.Fatalf("seed %d: %v in spite of %q\nrules %+v", seed, got, trace.Nearest.Changes, r)
			}
		}
	}
	if helped < 200 || hopeless < 20 {
		t.Errorf("%d were told what helps, %d that nothing does", helped, hopeless)
	}
}

func sameAsOracle(t *testing.T, seed uint64, o oracle, list []Expr, steps []Step) {
	t.Helper()
	for i := range list {
		if got, want := steps[i].Outcome, outcomes[o.expr(&list[i])]; got != want {
			t.Fatalf("seed %d: %s is %q, want %q", seed, steps[i].Text, got, want)
		}
		if steps[i].Reason != "" && !slices.Contains(reasons[:], steps[i].Reason) {
			t.Fatalf("seed %d: reason %q", seed, steps[i].Reason)
		}
		if list[i].Op != Leaf {
			sameAsOracle(t, seed, o, list[i].List, steps[i].Steps)
		}
	}
}

// BenchmarkExplain: it is for people, and may cost what it does.
func BenchmarkExplain(b *testing.B) {
	r := rules(b, strings.ReplaceAll(realistic, "a path that is longer than thirty-two bytes", "/x/y/z"))
	req := request()
	req.Time = time.Now()
	for b.Loop() {
		Explain(r, alice, req)
	}
}
