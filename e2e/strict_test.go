package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

// TestStrict runs the tables of cases/ against the binary: every request and every
// upstream response gets exactly its verdict, whole and cut into pieces, and no
// connection is left dirty. The tables, the verdicts and the score are explained in
// cases/README.md.
func TestStrict(t *testing.T) {
	for dir, least := range map[string]int{"request": 300, "response": 120} {
		t.Run(dir, func(t *testing.T) {
			t.Parallel()
			cases := readCases(t, dir)
			if len(cases) < least {
				t.Errorf("%d cases, want at least %d", len(cases), least)
			}
			up := newRecorder(t)
			// One processor means one loop, so that the requests after a case find its
			// connections in the pool.
			// The tables are of HTTP/1.1, where the preface of HTTP/2 is a request of a version that is not spoken.
			s := run(t, setup{policy: strictPolicy(up.addr()), ofWeb: `, http2: "off"`, env: []string{"GOMAXPROCS=1"}})
			s.await(t, "serving", msg("serving"))
			for _, how := range []struct {
				name string
				rng  *rand.Rand
			}{{"whole", nil}, {"in pieces", rand.New(rand.NewPCG(1, 2))}} {
				up.pieces.Store(how.rng != nil)
				p := &player{target: target{name: "sluice", addr: s.web, up: up, exact: true, wait: 2 * time.Second, rng: how.rng}}
				began := time.Now()
				sc := p.score(t, cases, func(c *wireCase, f finding) {
					t.Errorf("%s, %s, RFC %s: %s: %s", c, how.name, c.rfc, f.grade, f.why)
				})
				t.Logf("%s, %s: %s in %v", dir, how.name, sc, time.Since(began).Round(time.Millisecond))
			}
		})
	}
}

// score counts cases by grade.
type score struct {
	cases  int
	grades [unsafe + 1]int
}

func (s score) String() string {
	return fmt.Sprintf("%d cases: %d unsafe, %d wrong, %d lenient", s.cases, s.grades[unsafe], s.grades[wrong], s.grades[lenient])
}

// score plays all cases and reports each that was not right.
func (p *player) score(t *testing.T, cases []*wireCase, report func(*wireCase, finding)) (s score) {
	t.Helper()
	for _, c := range cases {
		if !p.exact && c.has("ours") || !strings.Contains(c.String(), os.Getenv("E2E_CASE")) {
			continue
		}
		f := p.judge(c, p.play(c))
		s.cases++
		s.grades[f.grade]++
		if f.grade != right {
			report(c, f)
		}
	}
	return s
}

// strictPolicy lets everything through to one upstream.
func strictPolicy(addr string) string {
	return fmt.Sprintf(`clusters:
  app: {endpoints: [%q]}
routes:
- name: all
  path: {prefix: /}
  cluster: app
  policy: [{allow: {and: [{accept: true}]}}]
`, addr)
}
