package tunnel_test

import (
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/proxy/tunnel"
)

// A client sends a request and says that it will send no more; the origin answers and
// ends.
func Example() {
	do := func(event string, actions tunnel.Actions) {
		fmt.Print(event, ":")
		for a := range actions.All() {
			switch a.Op {
			case tunnel.Arm:
				fmt.Print(" arm ", a.After)
			case tunnel.Finish:
				fmt.Print(" finish ", a.Outcome.Cause)
			default:
				fmt.Print(" ", a.Op, " ", a.Side)
			}
		}
		fmt.Println()
	}
	var t tunnel.Tunnel
	now := time.Now()
	do("start", t.Start(tunnel.Config{}, now))
	do("request", t.Bytes(tunnel.Downstream, 100, 0, now))
	do("client ends", t.EOF(tunnel.Downstream, now))
	do("answer", t.Bytes(tunnel.Upstream, 5000, 5000, now))
	do("origin ends", t.EOF(tunnel.Upstream, now))
	do("answer taken", t.Drained(tunnel.Downstream, 0, now))
	// Output:
	// start: arm 1h0m0s
	// request:
	// client ends: close_write upstream arm 5m0s
	// answer:
	// origin ends: close_write downstream arm 5m0s
	// answer taken: finish completed
}
