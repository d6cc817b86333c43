package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/record"
)

// Generator is a load.
type Generator struct {
	cfg      Config
	inFlight atomic.Int64
	open     atomic.Int64 // connections
	running  sync.WaitGroup
	stopped  atomic.Pointer[time.Time] // when ctx ended; what was due before is still begun
}

// New makes a load; Run runs it.
func New(cfg Config) *Generator { return &Generator{cfg: cfg.withDefaults()} }

// Open is the number of connections that are open now.
func (g *Generator) Open() int { return int(g.open.Load()) }

// InFlight is the number of exchanges under way.
func (g *Generator) InFlight() int { return int(g.inFlight.Load()) }

// Run makes arrivals until ctx is done, then waits for what is under way.
func (g *Generator) Run(ctx context.Context) {
	start := time.Now()
	defer context.AfterFunc(ctx, func() {
		now := time.Now()
		g.stopped.Store(&now)
	})()
	var arriving sync.WaitGroup
	pools, muxes := make([]*pool, len(g.cfg.Profiles)), make([]*shared, len(g.cfg.Profiles))
	for i, p := range g.cfg.Profiles {
		if p.Class == record.TCP && g.cfg.Raw == "" || p.Rate <= 0 {
			continue
		}
		c := g.client(p)
		pools[i], muxes[i] = c.pool, c.mux
		arriving.Go(func() { g.arrivals(ctx, start, c) }) // ends with ctx
	}
	arriving.Wait()
	g.running.Wait()
	for i, p := range pools {
		if p != nil {
			p.close()
		}
		if muxes[i] != nil {
			muxes[i].close()
		}
	}
}

// arrivals begins each exchange of a class when it is due, and those that are overdue at once.
func (g *Generator) arrivals(ctx context.Context, start time.Time, c *client) {
	rnd := rand.New(rand.NewPCG(g.cfg.Seed, uint64(c.Class)))
	gap := time.Duration(float64(time.Second) / c.Rate)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for k := 0; ; k++ {
		due := start.Add(time.Duration((float64(k) + rnd.Float64()) * float64(gap)))
		if d := time.Until(due); d > 0 {
			timer.Reset(d)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
		} else if end := g.stopped.Load(); end != nil && due.After(*end) {
			return
		}
		if g.cfg.Pause != nil {
			g.cfg.Pause(c.Class)
		}
		if g.inFlight.Load() >= int64(g.cfg.MaxInFlight) {
			g.cfg.Record.NotSent()
			continue
		}
		g.inFlight.Add(1)
		id := fmt.Sprintf("%s-%d", c.Class, k)
		g.running.Go(func() { // ends with the exchange, which patience bounds
			defer g.inFlight.Add(-1)
			c.run(ctx, id, due)
		})
	}
}
