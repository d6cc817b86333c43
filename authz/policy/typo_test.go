package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A policy with every word that a rule can have, so that each can be misspelt.
const fullOfWords = `clusters:
  app: {endpoints: ["127.0.0.1:1"], balance: round_robin, connect_timeout: 1s, retry_percent: 10, max_connections: 5,
    outlier: {failures: 3}, health_check: {path: /h}}
routes:
- name: r
  hosts: [a.example.com]
  path: {prefix: /a}
  methods: [GET]
  cluster: app
  authenticate: [api_key]
  response_timeout: 1s
  decision_log: block
  max_stream_age: 1h
  drain: {deadline: 5s, order: first, event_stream: retry}
  policy:
  - deny:
      or:
      - user: {in: [u-666, u-667]}
      - groups: {has: blocked}
      - not: [{email: {ends_with: "@example.com"}}]
      - claim/amr: {has: none}
      - and: [{accept: true}, {user: {is: nobody}}]
    allow:
      and:
      - or: [{domain: {is: example.com}}, {groups: {has: eng-7}}]
      - none_of: [{http_path: {starts_with: /a/private}}]
      - not_all_of: [{http_method: {is: POST}}, {source_ip: 10.0.0.0/8}]
      - nor: [{http_path: {contains: secret}}]
      - time_of_day: {after: "08:00", before: "18:00", timezone: Europe/Berlin}
      - date: {after: "2026-01-01"}
      - day_of_week: mon-fri
      - authenticated_user: true
      - client_certificate: {fingerprint: "0000000000000000000000000000000000000000000000000000000000000000"}
      - cors_preflight: true
      - accept: true
      - cel: user == "u-1"
tcp_routes:
- {listener: db, cluster: app, idle_timeout: 1h, policy: [{deny: {or: [{source_ip: 10.6.0.0/16}]}, allow: {and: [{accept: true}]}}]}
`

// misspelt are the slips of a finger: a letter too few, too many, another one, two that changed places.
func misspelt(word string) (all []string) {
	for i := range len(word) {
		all = append(all, word[:i]+word[i+1:], word[:i]+word[i:i+1]+word[i:], word[:i]+"q"+word[i+1:])
		if i+1 < len(word) {
			all = append(all, word[:i]+word[i+1:i+2]+word[i:i+1]+word[i+2:])
		}
	}
	all = slices.DeleteFunc(all, func(s string) bool { return s == word || s == "" })
	slices.Sort(all)
	return slices.Compact(all)
}

// TestATypoNeverLoads: whatever word of a policy is misspelt, in an allow as in a deny, the policy is refused, and the fault is where the
// word is. A deny rule with a typo would otherwise be one that denies nobody.
func TestATypoNeverLoads(t *testing.T) {
	if _, err := Parse("p.yaml", []byte(fullOfWords)); err != nil {
		t.Fatalf("the policy itself: %v", err)
	}
	key := regexp.MustCompile(`[{ ]([a-z][a-z_/]*):(?:[ \n])`)
	word := regexp.MustCompile(`: (block|round_robin|first|retry|mon-fri|true)\b`) // values that are of a closed set
	places := append(key.FindAllStringSubmatchIndex(fullOfWords, -1), word.FindAllStringSubmatchIndex(fullOfWords, -1)...)
	words, known := 0, map[string]bool{"app": true}
	for _, p := range places {
		known[fullOfWords[p[2]:p[3]]] = true
	}
	for _, w := range []string{"is", "in", "has", "any", "before", "after"} {
		known[w] = true
	}
	for _, p := range places {
		was := fullOfWords[p[2]:p[3]]
		if was == "app" { // a name: routes refer to it
			continue
		}
		line := 1 + strings.Count(fullOfWords[:p[2]], "\n")
		column := p[2] - strings.LastIndexByte(fullOfWords[:p[2]], '\n')
		for _, now := range misspelt(was) {
			if known[now] || strings.HasPrefix(was, "claim/") && strings.HasPrefix(now, "claim/") || was == "mon-fri" && strings.HasPrefix(now, "mon") && strings.HasSuffix(now, "fri") {
				continue // another word, or a path that the user makes up
			}
			words++
			text := fullOfWords[:p[2]] + now + fullOfWords[p[3]:]
			_, err := Parse("p.yaml", []byte(text))
			if err == nil {
				t.Errorf("%d:%d: %q for %q loads", line, column, now, was)
				continue
			}
			if at := fmt.Sprintf("p.yaml:%d:", line); !strings.Contains(err.Error(), at) {
				t.Errorf("%d:%d: %q for %q: the fault is elsewhere: %v", line, column, now, was, err)
			}
		}
	}
	if words < 1000 {
		t.Errorf("only %d misspellings: the test looks at the wrong places", words)
	}
}
