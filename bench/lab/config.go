package lab

import (
	"slices"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/plan"
	"github.com/sluiceproxy/sluice/bench/lab/record"
	"github.com/sluiceproxy/sluice/bench/lab/replica"
)

// Config is one run. Launcher and Plan must be set, or Attach.
type Config struct {
	Launcher replica.Launcher
	Plan     plan.Kind
	Attach   *Attach

	Replicas int            // 0: 2
	Rate     float64        // arrivals a second, all classes; 0: 1000
	Requests int            // the load goes on until so many were due; 0: as long as the plan takes
	Classes  []record.Class // nil: all
	Seed     uint64

	LameDuck    time.Duration // 0: 1 s
	Drain       time.Duration // 0: 10 s
	Long        time.Duration // how long slow requests take, and half a stream; 0: one and a half lame ducks
	Poll        time.Duration // of the balancer; 0: 50 ms
	Propagation time.Duration // of what it learns; negative: none; 0: 300 ms
	Front       string        // haproxy, nginx: a real balancer in place of ours; Sluice only
	Blind       bool          // the balancer does not ask for readiness

	Warm   time.Duration // load before the first restart; 0: 3 s
	Cool   time.Duration // and after the last; 0: 2 s
	MaxLag time.Duration // of the generator; 0: 500 ms

	Dir  string                           // for the folders of the replicas; empty: a temporary one
	Keep bool                             // the folder, for who wants to read the logs
	Tell func(format string, args ...any) // narration; nil: nobody listens
	// Look is called four times a second with how things stand; nil: nobody looks.
	Look func(View)
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		of    *time.Duration
		usual time.Duration
	}{
		{&c.LameDuck, time.Second}, {&c.Drain, 10 * time.Second}, {&c.Poll, 50 * time.Millisecond}, {&c.Propagation, 300 * time.Millisecond},
		{&c.Warm, 3 * time.Second}, {&c.Cool, 2 * time.Second},
	} {
		if *d.of == 0 {
			*d.of = d.usual
		}
	}
	if c.Long == 0 {
		c.Long = c.LameDuck + c.LameDuck/2
	}
	if c.Replicas == 0 {
		c.Replicas = 2
	}
	if c.Rate == 0 {
		c.Rate = 1000
	}
	if c.Attach != nil {
		c.Plan, c.Replicas = plan.Attached, len(c.Attach.Targets)
	}
	switch {
	case c.Attach != nil && c.Attach.UpstreamWeb == "": // somebody else's upstream knows no more
		c.Classes = []record.Class{record.Short, record.KeepAlive, record.PerRequest}
	case c.Classes == nil:
		c.Classes = record.Classes()
	}
	if c.Launcher == nil || !c.Launcher.HTTP2() || c.Front != "" { // whose doors nobody has told us of speak HTTP/1.1
		c.Classes = slices.DeleteFunc(slices.Clone(c.Classes), record.Class.HTTP2)
	}
	if c.Tell == nil {
		c.Tell = func(string, ...any) {}
	}
	return c
}
