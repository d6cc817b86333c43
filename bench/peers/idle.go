//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/sluiceproxy/sluice/bench/peers/load"
	"github.com/sluiceproxy/sluice/bench/peers/procfs"
)

// settle is how long memory is left to itself before it is read: caches that are filled
// while connections open are given back, or not, in this time.
const settle = time.Second

// memory measures what an idle connection occupies: after a load that has made the proxy
// grow to its working size, connections that make one request each and stay.
func (a *arena) memory(ctx context.Context, s *sample, proxy *process, cfg load.Config, set setting) error {
	warm := cfg
	warm.Mode, warm.Conns, warm.Warm = load.KeepAlive, 64, 500*time.Millisecond
	c, err := startLoad(ctx, a.cpus.others, set.Dir, warm)
	if err != nil {
		return err
	}
	c.leave()
	heap, m, err := rest(ctx, s.entrant, proxy, set)
	if err != nil {
		return err
	}
	client, err := startLoad(ctx, a.cpus.others, set.Dir, cfg)
	if err != nil {
		return err
	}
	defer client.leave()
	heapFull, full, err := rest(ctx, s.entrant, proxy, set)
	if err != nil {
		return err
	}
	res, err := client.measure()
	if err != nil {
		return err
	}
	if s.Mismatches, s.Errors, s.Failure = res.Mismatches, res.Errors, res.Failure; s.Errors > 0 {
		return fmt.Errorf("%d errors, the first: %s; %s", s.Errors, s.Failure, proxy.said())
	}
	s.RSS, s.PSS = float64(full.RSS), float64(full.PSS)
	s.IdleUser = float64(full.PSS-m.PSS) / float64(cfg.Conns)
	if heap >= 0 && heapFull >= 0 {
		s.IdleHeap = (heapFull - heap) / float64(cfg.Conns)
	}
	return nil
}

func rest(ctx context.Context, e entrant, proxy *process, set setting) (heap float64, m procfs.Memory, err error) {
	select {
	case <-time.After(settle):
	case <-ctx.Done():
		return 0, m, context.Cause(ctx)
	}
	if m, err = procfs.GroupMemory(proxy.group()); err != nil {
		return 0, m, err
	}
	return inUse(ctx, e, set), m, nil
}
