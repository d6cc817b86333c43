//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sluiceproxy/sluice/bench/peers/load"
	"github.com/sluiceproxy/sluice/bench/peers/procfs"
)

// sample is one entrant's turn in one round of a row. Times per unit are microseconds.
type sample struct {
	Pairing                 int
	Row, Entrant            string
	Round                   int
	CPU, User, Sys, Waited  float64       // of the proxy, per unit
	Rate                    float64       // units per second
	P50, P99, P999          float64       // microseconds
	RSS, PSS                float64       // bytes, right after the load
	Feeders                 float64       // CPU of client and origin over what they could have had
	Others                  float64       // CPUs that strangers used meanwhile
	Stolen                  float64       // CPUs that the hypervisor took
	Allocs                  float64       // objects per request; -1: it does not tell
	IdleUser, IdleHeap      float64       // bytes per idle connection: PSS grown; Go heap and stacks in use, -1: not Go
	Late                    float64       // microseconds that the client itself was late at most
	Throttled, ThrottledMS  float64       // share of the periods in which the quota made it wait; ms per second
	Peak                    float64       // bytes: the most that its control group ever had
	Drained                 time.Duration // a stop in the quota; 0: none was made
	Mismatches, Errors      int64
	Failure                 string
	entrant                 entrant
	cpus                    cpus
	began                   time.Time
	machineBefore, machine  procfs.Busy
	originBefore, originNow procfs.Sample
}

// arena is what the samples of a pairing share.
type arena struct {
	options
	programs    programs
	workers     int
	descriptors int
	cpus        cpus
	dir         string
	origin      *child
	ports       []ports
	taken       int // samples
	boxRate     int // of the row quota, per second; 0: not known yet
}

// take starts an entrant afresh, makes sure that it answers rightly, and measures.
func (a *arena) take(ctx context.Context, r row, e entrant, round int) (s sample, err error) {
	s = sample{Pairing: a.workers, Row: r.name, Entrant: e.String(), Round: round, Allocs: -1, IdleHeap: -1, entrant: e, cpus: a.cpus}
	dir, err := os.MkdirTemp(a.dir, "sample-*")
	if err != nil {
		return s, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	a.taken++
	set, err := newSetting(dir, a.workers, a.descriptors, r, a.ports[a.taken%len(a.ports)])
	if err != nil {
		return s, err
	}
	args, err := set.command(e, r, a.programs)
	if err != nil {
		return s, err
	}
	var b box
	if r.quota {
		if b, err = newBox(fmt.Sprintf("sluice-peers-%d-%d", os.Getpid(), a.taken)); err != nil {
			return s, err
		}
		defer func() { err = errors.Join(err, b.remove()) }()
		args = b.around(args)
	}
	proxy, err := start(ctx, a.cpus.proxy, dir, a.environment(e, a.workers), args...)
	if err != nil {
		return s, err
	}
	defer proxy.stop()
	cfg := withKey(r.load)
	cfg.Addr, cfg.Duration, cfg.Routes = at(set.HTTP), a.duration(), r.routes
	switch r.load.Wire {
	case load.TLS, load.Handshake, load.Hybrid:
		cfg.Addr = at(set.HTTPS)
	case load.H2C, load.GRPC:
		cfg.Addr = at(set.H2C)
	case load.Plain, load.WebSocket:
	}
	if r.raw() {
		cfg.Addr = at(set.TCP)
	}
	probe := cfg
	if r.wired() { // the load itself compares every answer
		probe.Addr, probe.Wire = at(set.HTTP), load.Plain
	}
	if err := proves(ctx, proxy, probe); err != nil {
		return s, fmt.Errorf("%v does not answer rightly: %w; %s", e, err, proxy.said())
	}
	if r.quota && cfg.Mode == load.Paced && a.boxRate > 0 {
		cfg.Rate = a.boxRate
	}
	if r.idle {
		err = a.memory(ctx, &s, proxy, cfg, set)
	} else {
		err = a.work(ctx, &s, proxy, cfg, set, r, b)
	}
	return s, err
}

// work measures the cost of requests.
func (a *arena) work(ctx context.Context, s *sample, proxy *process, cfg load.Config, set setting, r row, b box) error {
	client, err := startLoad(ctx, a.cpus.others, set.Dir, cfg)
	if err != nil {
		return err
	}
	defer client.leave()
	first := allocated(ctx, s.entrant, set)
	objects := allocated(ctx, s.entrant, set)
	scrape := objects - first // what asking allocates
	before, err := a.before(s, proxy)
	if err != nil {
		return err
	}
	var quota throttled
	if r.quota {
		if quota, err = b.throttled(); err != nil {
			return err
		}
	}
	var res load.Result
	if err = a.profiled(ctx, s, set, func() (err error) { res, err = client.measure(); return err }); err != nil {
		return err
	}
	if r.quota {
		if err := a.underQuota(s, b, quota, res.Elapsed); err != nil {
			return err
		}
	}
	cost, err := a.after(s, proxy, before, res)
	if err != nil {
		return err
	}
	if s.Mismatches, s.Errors, s.Failure = res.Mismatches, res.Errors, res.Failure; s.Errors > 0 {
		return fmt.Errorf("%d errors, the first: %s; %s", s.Errors, s.Failure, proxy.said())
	}
	units := float64(res.Count)
	if r.perMiB {
		units = float64(res.Bytes) / (1 << 20)
	}
	if units == 0 {
		return fmt.Errorf("%v served nothing", s.entrant)
	}
	per := func(d time.Duration) float64 { return float64(d) / 1e3 / units }
	s.CPU, s.Waited = per(cost.CPU), per(cost.Waited)
	if ticks := cost.User + cost.Sys; ticks > 0 { // ticks only say how it splits
		s.User = s.CPU * float64(cost.User) / float64(ticks)
		s.Sys = s.CPU - s.User
	}
	s.Rate = units / res.Elapsed.Seconds()
	s.P50, s.P99, s.P999, s.Late = micros(res.P50), micros(res.P99), micros(res.P999), micros(res.Late)
	if now := allocated(ctx, s.entrant, set); objects >= 0 && now >= 0 && s.entrant.peer == us {
		s.Allocs = max(0, now-objects-scrape) / units
	}
	m, err := procfs.GroupMemory(proxy.group())
	s.RSS, s.PSS = float64(m.RSS), float64(m.PSS)
	if err == nil && r.quota && s.entrant.peer == us && s.Round == 0 {
		err = a.drains(s, proxy, b)
	}
	return err
}

// underQuota notes what the kernel did to the group since before.
func (a *arena) underQuota(s *sample, b box, before throttled, took time.Duration) error {
	now, err := b.throttled()
	if err != nil {
		return err
	}
	if periods := now.periods - before.periods; periods > 0 {
		s.Throttled = (now.waited - before.waited) / periods
	}
	s.ThrottledMS = (now.wait - before.wait).Seconds() * 1e3 / took.Seconds()
	s.Peak, _, err = b.peak()
	return err
}

func micros(d time.Duration) float64 { return float64(d) / 1e3 }

// before samples everything at the start of the measured part, the proxy last.
func (a *arena) before(s *sample, proxy *process) (p procfs.Sample, err error) {
	s.began = time.Now()
	if s.machineBefore, err = procfs.Machine(); err != nil {
		return nil, err
	}
	if s.originBefore, err = procfs.Group(a.origin.group()); err != nil {
		return nil, err
	}
	return procfs.Group(proxy.group())
}

// after samples it all again, the proxy first.
func (a *arena) after(s *sample, proxy *process, before procfs.Sample, res load.Result) (cost procfs.Usage, err error) {
	now, err := procfs.Group(proxy.group())
	if err != nil {
		return cost, err
	}
	if s.originNow, err = procfs.Group(a.origin.group()); err != nil {
		return cost, err
	}
	if s.machine, err = procfs.Machine(); err != nil {
		return cost, err
	}
	elapsed := time.Since(s.began).Seconds()
	if cost, err = now.Since(before); err != nil {
		return cost, err
	}
	served, err := s.originNow.Since(s.originBefore)
	if err != nil {
		return cost, err
	}
	feeders := (served.CPU + res.CPU).Seconds()
	s.Feeders = feeders / elapsed / float64(count(a.cpus.others))
	s.Others = max(0, ((s.machine.Worked-s.machineBefore.Worked)-cost.CPU).Seconds()-feeders) / elapsed
	s.Stolen = (s.machine.Stolen - s.machineBefore.Stolen).Seconds() / elapsed
	return cost, nil
}

// count is how many CPUs a taskset list of one span holds.
func count(list string) int {
	var from, to int
	if n, err := fmt.Sscanf(list, "%d-%d", &from, &to); err != nil || n != 2 {
		return 1
	}
	return to - from + 1
}
