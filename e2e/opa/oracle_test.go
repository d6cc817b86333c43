package opa

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/version"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/policy"
)

var pairs = flag.Int("pairs", 2000, "how many pairs of a policy and a request to compare")

// perPolicy is how many requests each policy sees: OPA compiles for milliseconds.
const perPolicy = 50

// counts are the decisions of Sluice.
type counts struct {
	verdicts map[authz.Verdict]int
	blind    int // of requests without address or time, where only allowed or refused is compared
}

// differ compares one policy's decisions, and describes the first that is not the same; empty: all are.
func differ(t *testing.T, seed uint64, m mutant, c *counts) string {
	t.Helper()
	d := dice{rand.New(rand.NewPCG(seed, 2))}
	rules := d.rules()
	text, mod := yaml(rules), module(rules, m)
	doc, err := policy.Parse("policy.yaml", []byte(text))
	if err != nil {
		t.Fatalf("seed %d: %v\n%s", seed, err, text)
	}
	program := policy.Compile(doc).Routes[0]
	query, err := rego.New(rego.Query("data.policy.outcome"), rego.Module("policy.rego", mod)).PrepareForEval(t.Context())
	if err != nil {
		t.Fatalf("seed %d: %v\n%s", seed, err, mod)
	}
	for range perPolicy {
		id, req := d.query()
		in := input(id, req)
		results, err := query.Eval(t.Context(), rego.EvalInput(in))
		if err != nil || len(results) != 1 {
			t.Fatalf("seed %d: %v, %v\n%s", seed, results, err, mod)
		}
		got, want := program.Authorize(id, req).Verdict, results[0].Expressions[0].Value
		c.verdicts[got]++
		same := want == got.String()
		if !req.Source.IsValid() || req.Time.IsZero() { // an error denies: there is no saying then who would only have to log in
			c.blind++
			same = (want == "allow") == (got == authz.Allow) && (got != authz.Challenge || id == nil)
		}
		if !same || got == authz.Challenge && id != nil {
			return fmt.Sprintf("seed %d: Sluice says %v, OPA %v\n%s\ninput %v\n%s", seed, got, want, text, in, mod)
		}
	}
	return ""
}

// input is what OPA is told; what is not known is left out.
func input(id *authz.Identity, req *authz.Request) map[string]any {
	in := map[string]any{"method": req.Method, "path": string(req.Path), "identity": nil}
	if req.Source.IsValid() {
		in["source"] = req.Source.String()
	}
	if !req.Time.IsZero() {
		in["now"] = req.Time.UnixNano()
	}
	if id != nil {
		claims := id.Claims
		if claims == nil {
			claims = map[string][]string{}
		}
		in["identity"] = map[string]any{"user": id.User, "email": id.Email, "groups": id.Groups, "claims": claims}
	}
	return in
}

func TestSluiceAndOPADecideAlike(t *testing.T) {
	began, c := time.Now(), counts{verdicts: map[authz.Verdict]int{}}
	policies := max(*pairs/perPolicy, 1)
	for seed := range uint64(policies) {
		if diff := differ(t, seed, none, &c); diff != "" {
			t.Fatal(diff)
		}
	}
	total := policies * perPolicy
	t.Logf("OPA %s: %d pairs of %d policies in %v: %d allowed, %d denied, %d challenged; of %d, without address or time, only whether they are allowed",
		version.Version, total, policies, time.Since(began).Round(time.Second), c.verdicts[authz.Allow], c.verdicts[authz.Deny], c.verdicts[authz.Challenge], c.blind)
	for _, v := range []authz.Verdict{authz.Allow, authz.Deny} {
		if c.verdicts[v] < total/10 {
			t.Errorf("only %d of %d decisions were %v", c.verdicts[v], total, v)
		}
	}
	if c.verdicts[authz.Challenge] == 0 || c.blind > total/2 {
		t.Errorf("%d challenges, %d of %d compared in part only", c.verdicts[authz.Challenge], c.blind, total)
	}
}

func TestTheComparisonNoticesMisreadings(t *testing.T) {
	for _, m := range []mutant{denyIgnored, notIsNor, anyGroup, unknownFalse} {
		c, found := counts{verdicts: map[authz.Verdict]int{}}, false
		for seed := uint64(0); seed < 200 && !found; seed++ {
			found = differ(t, seed, m, &c) != "" && differ(t, seed, none, &c) == ""
			if found {
				t.Logf("%s: noticed in policy %d", m, seed)
			}
		}
		if !found {
			t.Errorf("%s: not noticed", m)
		}
	}
}
