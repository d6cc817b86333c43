package e2e

import "testing"

// TestJSONOfAnUpgrade asks for one, and for the generations that it leaves.
func TestJSONOfAnUpgrade(t *testing.T) {
	t.Parallel()
	h := serveHouse(t, newUpstream(t), setup{})
	ask := func(schema string, args ...string) {
		t.Helper()
		out, code := printed(t, append(args, "--json", "-c", h.file("sluice.yaml"))...)
		if code != 0 {
			t.Errorf("%v: exit %d: %s", args, code, out)
		}
		conforms(t, schema, out)
	}
	ask("upgrade", "upgrade")
	ask("generations", "status", "--generations")
	ask("status", "status") // of the successor
}
