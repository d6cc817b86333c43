//go:build linux

package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// options of a run.
type options struct {
	rows     []string
	peers    []string
	modes    []mode
	pairings []int // CPUs of the proxy: 1 is one against one
	rounds   int
	seconds  float64
	sluice   string // binary; empty: build it
	caddy    string
	engine   string // SLUICE_ENGINE_DRIVER
	loops    int    // SLUICE_ENGINE_LOOPS; 0: as many as CPUs
	out      string // Markdown; empty: standard output only
	raw      string // one JSON line per sample
	label    string
	profiles string // folder for a CPU profile of each sample of sluice; empty: none
}

const usage = `usage: go run ./bench/peers [flags]

Compares the CPU time per request of sluice with that of its peers, in interleaved rounds.
Rows: %s.

`

// parse reads the flags. Everything that bounds a run is checked here.
func parse(args []string, w io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("peers", flag.ContinueOnError)
	fs.SetOutput(w)
	fs.Usage = func() { fmt.Fprintf(w, usage, strings.Join(rowNames(), ", ")); fs.PrintDefaults() }
	quick := fs.Bool("quick", false, "a minute: -rows get64,get16k -rounds 2 -seconds 1 -pairings 1 -peers nginx,haproxy,floor, unless given")
	rows := fs.String("rows", "", "rows, comma-separated; empty: all")
	peers := fs.String("peers", "nginx,haproxy,caddy,floor", "whom to compare with")
	modes := fs.String("modes", "off,on,shipped", "stages of sluice: off, on (key and rule), shipped (those, access log)")
	pairings := fs.String("pairings", "1,2", "CPUs of the proxy: 1 is one loop against one worker, all threads on one CPU")
	fs.IntVar(&o.rounds, "rounds", 3, "rounds, 1 to 50")
	fs.Float64Var(&o.seconds, "seconds", 1.5, "measured seconds of one sample, 0.1 to 30")
	fs.StringVar(&o.sluice, "sluice", "", "sluice binary; empty: build one from this tree")
	fs.StringVar(&o.caddy, "caddy", "", "caddy binary; empty: bin/caddy or the one in PATH")
	fs.StringVar(&o.engine, "engine", "", "SLUICE_ENGINE_DRIVER for sluice (epoll, portable); empty: its default")
	fs.IntVar(&o.loops, "loops", 0, "SLUICE_ENGINE_LOOPS for sluice; 0: as many as CPUs of the pairing")
	fs.StringVar(&o.out, "out", "", "write the Markdown here as well, \"auto\": bench/results/DATE-peers-ENGINE.md")
	fs.StringVar(&o.raw, "raw", "", "append each sample to this file as a line of JSON")
	fs.StringVar(&o.label, "label", "", "a remark for the head of the result")
	fs.StringVar(&o.profiles, "profiles", "", "write a CPU profile of each sample of sluice into this folder; profiling costs, so do not read the table")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if *quick {
		for name, v := range map[string]string{"rows": "get64,get16k", "rounds": "2", "seconds": "1", "pairings": "1", "peers": "nginx,haproxy,floor"} {
			if !given[name] {
				if err := fs.Set(name, v); err != nil {
					return o, err
				}
			}
		}
	}
	if fs.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	o.rows, o.peers = list(*rows), list(*peers)
	if len(o.rows) == 0 {
		o.rows = rowNames()
	}
	for _, m := range list(*modes) {
		o.modes = append(o.modes, mode(m))
	}
	for _, p := range list(*pairings) {
		o.pairings = append(o.pairings, map[string]int{"1": 1, "2": 2}[p])
	}
	return o, o.validate()
}

func list(s string) []string {
	return slices.DeleteFunc(strings.Split(strings.ReplaceAll(s, " ", ""), ","), func(x string) bool { return x == "" })
}

func (o options) validate() error {
	for _, r := range o.rows {
		if !slices.Contains(rowNames(), r) {
			return fmt.Errorf("-rows: no row %q; there are %s", r, strings.Join(rowNames(), ", "))
		}
	}
	for _, p := range o.peers {
		if !slices.Contains([]string{"nginx", "haproxy", "caddy", "floor"}, p) {
			return fmt.Errorf("-peers: no peer %q; there are nginx, haproxy, caddy, floor", p)
		}
	}
	for _, m := range o.modes {
		if m != off && m != on && m != shipped {
			return fmt.Errorf("-modes: no mode %q; there are off, on, shipped", m)
		}
	}
	switch {
	case len(o.modes) == 0, len(o.pairings) == 0, slices.Contains(o.pairings, 0):
		return fmt.Errorf("-modes and -pairings need a value each; pairings are 1 and 2")
	case o.rounds < 1 || o.rounds > 50:
		return fmt.Errorf("-rounds: %d; want 1 to 50", o.rounds)
	case o.seconds < 0.1 || o.seconds > 30:
		return fmt.Errorf("-seconds: %v; want 0.1 to 30", o.seconds)
	case o.profiles != "" && o.seconds != float64(int(o.seconds)), o.profiles != "" && o.seconds > 20:
		return fmt.Errorf("-profiles: -seconds %v; want whole seconds, at most 20", o.seconds)
	case o.loops < 0 || o.loops > 64:
		return fmt.Errorf("-loops: %d; want 0 to 64", o.loops)
	}
	return nil
}

func (o options) duration() time.Duration { return time.Duration(o.seconds * float64(time.Second)) }

// engineName is what the tables call the driver.
func (o options) engineName() string {
	if o.engine == "" {
		return "default"
	}
	return o.engine
}
