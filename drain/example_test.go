package drain_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/sluiceproxy/sluice/drain"
)

// A connection comes in, serves one request and leaves; the drain waits for it.
func Example() {
	t := drain.New(drain.Config{})
	meta := drain.Meta{Listener: "web", Protocol: "http", Peer: netip.MustParseAddrPort("192.0.2.1:5000")}
	_, err := t.Track(meta, nil)
	fmt.Println(errors.Is(err, drain.ErrShut))

	_ = t.Open()
	evicted := make(chan drain.Cause, 2) // what the owner of the connection reads
	c, _ := t.Track(meta, func(cause drain.Cause) { evicted <- cause })
	c.Active()

	go func() {
		state, changed := t.Watch()
		for state != drain.Draining {
			<-changed
			state, changed = t.Watch()
		}
		if c.Goodbye() { // the response says Connection: close
			c.Told()
		}
		c.Idle()
		c.Done(drain.Completed)
	}()
	r := t.Drain(context.Background())
	fmt.Println(r.Clean(), r.Told, r.Exchanges.Draining)
	// Output:
	// true
	// true 1 1
}
