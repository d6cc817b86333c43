//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

// errMismatch ends a run: a proxy that delivers a wrong byte needs no benchmark.
var errMismatch = errors.New("a body was not what the origin sent")

// results of a run, in the order of the samples.
type results struct {
	samples  []sample
	failures []string
}

// compare is a whole run. What was measured before an error is reported all the same.
func compare(ctx context.Context, o options) error {
	need, err := descriptorsNeeded()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "sluice-peers-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	progs, err := findPrograms(ctx, &o, dir)
	if err != nil {
		return err
	}
	m := describe(ctx, o, progs)
	var all results
	began := time.Now()
	for _, workers := range o.pairings {
		if err = pairing(ctx, o, progs, workers, need, dir, &all); err != nil {
			break
		}
	}
	m.took = time.Since(began)
	return errors.Join(err, publish(o, m, all, err), all.err())
}

func (r *results) err() error {
	if len(r.failures) == 0 {
		return nil
	}
	return fmt.Errorf("%d samples failed, the first: %s", len(r.failures), r.failures[0])
}

// pairing runs all rows with so many CPUs for the proxy.
func pairing(ctx context.Context, o options, progs programs, workers, descriptors int, dir string, all *results) error {
	a := &arena{options: o, programs: progs, workers: workers, descriptors: descriptors, cpus: place(workers, runtime.NumCPU()), dir: dir}
	var err error
	if a.origin, a.ports, err = startOrigin(ctx, a.cpus.others, dir); err != nil {
		return err
	}
	defer a.origin.leave()
	for _, r := range rows() {
		if !slices.Contains(o.rows, r.name) || r.perWorkers != 0 && workers > r.perWorkers {
			continue
		}
		if err := a.rounds(ctx, r, all); err != nil {
			return err
		}
	}
	return nil
}

// rounds runs every entrant of a row once in each round, in random order.
func (a *arena) rounds(ctx context.Context, r row, all *results) error {
	field := entrants(a.options, r)
	if r.quota {
		rate, err := a.quotaRate(ctx, r)
		if err != nil {
			all.failures = append(all.failures, r.name+": "+err.Error())
			return nil
		}
		fmt.Fprintf(os.Stderr, "quota: %d requests/s\n", rate)
	}
	for round := range a.options.rounds {
		order := rand.Perm(len(field))
		for _, i := range order {
			e := field[i]
			if a.programs.of(e.peer) == "" {
				continue
			}
			s, err := a.take(ctx, r, e, round)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if errors.Is(err, errWrong) || s.Mismatches > 0 {
				return fmt.Errorf("%w: %v in %s: %w", errMismatch, e, r.name, err)
			}
			if err != nil {
				all.failures = append(all.failures, fmt.Sprintf("%s, round %d, %v: %v", r.name, round+1, e, err))
				fmt.Fprintln(os.Stderr, "FAILED", all.failures[len(all.failures)-1])
				continue
			}
			all.samples = append(all.samples, s)
			a.progress(r, s)
			if err := keep(a.raw, s); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *arena) progress(r row, s sample) {
	if r.idle {
		fmt.Fprintf(os.Stderr, "%d:%d %-10s round %d  %-22s %8.0f B per connection\n", a.workers, a.workers, r.name, s.Round+1, s.Entrant, s.IdleUser)
		return
	}
	fmt.Fprintf(os.Stderr, "%d:%d %-10s round %d  %-22s %8.2f us/%s  %9.0f/s  p99 %7.2f ms\n",
		a.workers, a.workers, r.name, s.Round+1, s.Entrant, s.CPU, r.unit(), s.Rate, s.P99/1e3)
}

// keep appends a sample to a file, if one is wanted.
func keep(name string, s sample) error {
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(json.NewEncoder(f).Encode(s), f.Close())
}

// publish prints the report and writes it where it is wanted.
func publish(o options, m machine, all results, incomplete error) error {
	if len(all.samples) == 0 {
		return nil
	}
	var w io.Writer = os.Stdout
	if o.out != "" {
		name := o.out
		if name == "auto" {
			name = filepath.Join("bench", "results", m.when.Format(time.DateOnly)+"-peers-"+o.engineName()+".md")
		}
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		w = io.MultiWriter(w, f)
		fmt.Fprintln(os.Stderr, "writing", name)
	}
	return writeReport(w, report{options: o, machine: m, results: all, incomplete: incomplete})
}
