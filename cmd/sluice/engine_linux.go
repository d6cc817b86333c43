package main

import (
	"runtime"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/epoll"
)

// newEpoll makes event loops, and room for them in the scheduler: see package epoll.
func (a *app) newEpoll() (engine.Driver, error) {
	loops := a.cfg.Engine.Loops
	if loops == 0 {
		loops = runtime.GOMAXPROCS(0) // the CPUs of the affinity mask, at most the cgroup's quota
	}
	d, err := epoll.New(epoll.Config{Shards: loops, Flush: a.cfg.Drain.Flush, AcceptError: a.acceptFailed})
	if err != nil {
		return nil, err
	}
	runtime.GOMAXPROCS(loops + 2)
	return d, nil
}
