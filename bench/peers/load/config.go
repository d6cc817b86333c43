package load

import (
	"fmt"
	"net/netip"
	"time"
)

// Mode is what the connections do.
type Mode string

const (
	KeepAlive Mode = "keepalive" // requests in closed loops
	Paced     Mode = "paced"     // requests at a fixed rate, whoever is free takes the next
	Churn     Mode = "churn"     // a connection for each request
	Bulk      Mode = "bulk"      // raw TCP: as many bytes as the origin can send
	Echo      Mode = "echo"      // raw TCP: connect, Size bytes there and back, close
	Idle      Mode = "idle"      // one request each, then nothing
)

// Config of a load. Zero values are no defaults: Validate refuses what is missing.
type Config struct {
	Mode     Mode
	Wire     Wire   // what requests travel over; all but Plain and TLS go with KeepAlive only
	Addr     string // of the proxy, loopback
	Conns    int    // at a time
	Size     int    // bytes of a response body, or of an upload or echo
	Upload   bool   // POST Size bytes
	Rate     int    // Paced: requests per second, all connections together
	Routes   int    // above 0: to a route chosen at random, /rN on host h(N%100).example.com
	Key      string // sent as X-Api-Key unless empty
	Warm     time.Duration
	Duration time.Duration
}

// Validate reports what is out of bounds.
func (c Config) Validate() error {
	addr, err := netip.ParseAddrPort(c.Addr)
	switch {
	case err != nil:
		return fmt.Errorf("load: address: %w", err)
	case !addr.Addr().Is4() || !addr.Addr().IsLoopback():
		return fmt.Errorf("load: %s is not an IPv4 loopback address", c.Addr)
	case c.Conns < 1 || c.Conns > 20_000:
		return fmt.Errorf("load: %d connections; want 1 to 20000", c.Conns)
	case c.Size < 16 || c.Size > 1<<20:
		return fmt.Errorf("load: %d bytes; want 16 to 1 MiB", c.Size)
	case c.Duration < 0 || c.Duration > time.Minute || c.Warm < 0 || c.Warm > time.Minute:
		return fmt.Errorf("load: %v after %v; want at most a minute each", c.Duration, c.Warm)
	case c.Mode == Paced && (c.Rate < 1 || c.Rate > 1_000_000):
		return fmt.Errorf("load: %d requests/s; want 1 to 1000000", c.Rate)
	case c.Routes < 0 || c.Routes > 1_000_000:
		return fmt.Errorf("load: %d routes; want at most 1000000", c.Routes)
	}
	switch {
	case c.Wire == Plain, c.Wire == TLS && (c.Mode == KeepAlive || c.Mode == Paced || c.Mode == Idle):
	case c.Mode != KeepAlive || c.Upload || c.Routes > 0:
		return fmt.Errorf("load: wire %q does not go with mode %s, uploads or routes", c.Wire, c.Mode)
	}
	if c.Wire == WebSocket && (c.Size <= short || c.Size > 65535) {
		return fmt.Errorf("load: messages of %d bytes; want %d to 65535", c.Size, short+1)
	}
	switch c.Mode {
	case KeepAlive, Paced, Churn, Bulk, Echo, Idle:
		return nil
	}
	return fmt.Errorf("load: unknown mode %q", c.Mode)
}

// Result of the measured part.
type Result struct {
	Count      int64         // requests answered, or connections, completely and rightly
	Bytes      int64         // of bodies; what Bulk counts
	Mismatches int64         // bodies with a wrong byte
	Errors     int64         // anything else that went wrong
	Failure    string        // the first of these, in words
	Elapsed    time.Duration // from the first request to the last byte
	CPU        time.Duration // of the client itself
	Late       time.Duration // Paced: longest that the client itself was late to notice that a request is due
	P50        time.Duration
	P99        time.Duration
	P999       time.Duration
	Max        time.Duration
}
