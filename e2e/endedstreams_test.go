package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestStreamsEndWithThePolicy: WebSockets of a route that a new version refuses get a Close 1008 on both sides, and one that is too old its goodbye; those of
// another route talk on, on both drivers.
func TestStreamsEndWithThePolicy(t *testing.T) {
	t.Parallel()
	for _, driver := range []string{"epoll", "portable"} {
		t.Run(driver, func(t *testing.T) {
			t.Parallel()
			up := newSockets(t)
			policy := func(verdict string) string {
				return fmt.Sprintf(`clusters: {app: {endpoints: [%q]}}
routes:
- {name: gone, path: {prefix: /gone}, cluster: app, policy: [{%s: {and: [{accept: true}]}}]}
- {name: old, path: {prefix: /old}, cluster: app, max_stream_age: 2s, policy: [{allow: {and: [{accept: true}]}}]}
- {name: stays, path: {prefix: /stays}, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}
`, up.addr, verdict)
			}
			s := serve(t, nil, setup{policy: policy("allow"), extra: "engine: {driver: " + driver + "}"})
			stays, left := up.open(t, s.web, "/stays", 1)
			gone, wait := up.open(t, s.web, "/gone", 5)
			write(t, s.file("policy/main.yaml"), policy("deny"))
			s.await(t, "the new policy", func(r record) bool { return r.str("msg") == "policy in force" && r["version"] == float64(2) })
			began := time.Now()
			wait()
			t.Logf("%v from the new policy to the last end of five", time.Since(began))
			old, wait := up.open(t, s.web, "/old", 2)
			wait()
			for path, c := range map[string]struct {
				clients []*socketEnd
				code    int
				reason  string
			}{"/gone": {gone, 1008, "the policy does not allow this any more"}, "/old": {old, 1001, "this stream is as old as one of its route may become; retry-after="}} {
				for i, e := range c.clients {
					select {
					case <-up.server(path, i).over: // the server has heard, too
					case <-time.After(patience):
						t.Fatalf("%s %d: its server waits", path, i)
					}
					for side, e := range map[string]*socketEnd{"client": e, "server": up.server(path, i)} {
						if e.err != nil || e.code != c.code || !strings.HasPrefix(e.reason, c.reason) {
							t.Errorf("%s %d: its %s heard %d %q (%v)", path, i, side, e.code, e.reason, e.err)
						}
					}
				}
			}
			for reason, n := range map[string]float64{"policy_changed": 5, "stream_age": 2, "session_revoked": 0} {
				if got, _ := s.metric(t, fmt.Sprintf("sluice_streams_ended_total{reason=%q}", reason)); got != n {
					t.Errorf("%v streams ended for %s, want %v", got, reason, n)
				}
			}
			if n := s.look(t).Holders.Total.Tunnel; n != 1 {
				t.Errorf("%d tunnels are open, want 1", n)
			}
			s.drains(t, 0, "--close", fmt.Sprint(s.look(t).of("tunnel").ID))
			left()
			if e := stays[0]; e.err != nil || e.code != 1001 || e.sent == 0 {
				t.Errorf("the other heard %d %q (%v) after %d messages", e.code, e.reason, e.err, e.sent)
			}
			_ = up.ln.Close()
			up.running.Wait()
		})
	}
}
