package load

import (
	"context"
	"net"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/record"
)

// Profile is one class of the load.
type Profile struct {
	Class record.Class
	Rate  float64 // arrivals a second
	// Hold is how long an exchange takes by itself: the latency of slow requests, the length
	// of streams and tunnels, the pause of idle connections, the sending of uploads.
	Hold time.Duration
}

// Config is a load. Web, Record and Profiles must be set.
type Config struct {
	Web, Raw string // doors; without Raw there are no raw tunnels
	Host     string // header; empty: lab.example.com
	Path     string // not empty: plain GETs of this path, 200 is right whatever the body
	Profiles []Profile
	Seed     uint64
	Record   *record.Recorder

	Patience    time.Duration // with an exchange beyond its Hold; 0: 10 s
	MaxInFlight int           // 0: 20,000

	Dial func(ctx context.Context, addr string) (net.Conn, error) // nil: TCP
	// Pause runs before each arrival of a class is begun; nil: nothing. Tests stall the
	// generator with it.
	Pause func(record.Class)
}

func (c Config) withDefaults() Config {
	if c.Patience == 0 {
		c.Patience = 10 * time.Second
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = 20_000
	}
	if c.Host == "" {
		c.Host = "lab.example.com"
	}
	if c.Dial == nil {
		var d net.Dialer
		c.Dial = func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
	}
	return c
}

// shares is how a rate is divided among the classes.
var shares = [record.NumClasses]float64{
	record.Short:      0.30,
	record.KeepAlive:  0.28,
	record.PerRequest: 0.20,
	record.Slow:       0.03,
	record.Upload:     0.03,
	record.Idle:       0.03,
	record.WebSocket:  0.01,
	record.Events:     0.01,
	record.TCP:        0.01,
	record.H2Post:     0.05,
	record.GRPC:       0.04,
	record.GRPCStream: 0.01,
}

// Mix divides a rate among the classes that are wanted; the others are left out, and their
// share is not given to anybody. long is how long slow requests take: longer than a lame duck.
func Mix(rate float64, long time.Duration, wanted []record.Class) (all []Profile) {
	hold := [record.NumClasses]time.Duration{
		record.Slow: long, record.Upload: 300 * time.Millisecond, record.WebSocket: 2 * long, record.Events: 2 * long, record.TCP: 2 * long, record.Idle: long,
		record.GRPCStream: 2 * long,
	}
	for _, c := range wanted {
		all = append(all, Profile{Class: c, Rate: rate * shares[c], Hold: hold[c]})
	}
	return all
}
