//go:build linux

package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/bench/peers/load"
	"github.com/sluiceproxy/sluice/bench/peers/stats"
)

// report is everything that a Markdown result tells.
type report struct {
	options
	machine
	results
	incomplete error
}

// saturated is the share of their CPUs above which client and origin held the proxy back.
const saturated = 0.95

func writeReport(w io.Writer, r report) error {
	var b strings.Builder
	r.head(&b)
	for _, p := range r.pairings {
		if !slices.ContainsFunc(r.samples, func(s sample) bool { return s.Pairing == p }) {
			continue
		}
		c := place(p, r.cpus)
		words := map[int]string{1: "One against one", 2: "Two against two"}[p]
		fmt.Fprintf(&b, "\n## %s\n\nThe proxy on CPU %s with %d worker or loop; client and origin on CPU %s.\n", words, c.proxy, p, c.others)
		r.summary(&b, p)
		r.scaling(&b, p)
		for _, row := range rows() {
			r.row(&b, p, row)
		}
	}
	r.failed(&b)
	if err := r.appendix(&b); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r report) head(b *strings.Builder) {
	fmt.Fprintf(b, "# Peers, %s, engine %s\n\n", r.when.Format(time.DateOnly), r.engineWords())
	if r.label != "" {
		fmt.Fprintf(b, "%s\n\n", r.label)
	}
	if r.incomplete != nil {
		fmt.Fprintf(b, "**Incomplete: %v**\n\n", r.incomplete)
	}
	fmt.Fprintf(b, "Made by `go run ./bench/peers`; `bench/README.md` says how to read it. %d interleaved rounds of %v s each,\n", r.rounds, r.seconds)
	fmt.Fprintf(b, "every sample in a fresh process, %v in all. Every byte of every body was compared.\n\n", r.took.Round(time.Second))
	fmt.Fprintf(b, "| | |\n|---|---|\n| machine | %d x %s |\n| kernel | %s, TCP congestion control %s |\n| tree | %s |\n", r.cpus, r.model, r.kernel, r.congestion, r.revision)
	for _, v := range r.versions {
		fmt.Fprintf(b, "| %s | %s |\n", v[0], v[1])
	}
	others, stolen := r.noise()
	fmt.Fprintf(b, "| load average before | %s |\n| strangers' CPUs in use during a sample | median %.2f, at most %.2f |\n| stolen by the hypervisor | median %.2f, at most %.2f |\n",
		r.load, others.Median, others.Max, stolen.Median, stolen.Max)
	b.WriteString("\nThe machine is shared with other work: trust ratios of one table, not absolute figures, and p99 not at all below ten rounds.\n")
}

func (r report) engineWords() string {
	switch {
	case r.engine == "":
		return "default"
	case r.loops > 0:
		return fmt.Sprintf("%s, %d loops", r.engine, r.loops)
	}
	return r.engine
}

func (r report) noise() (others, stolen stats.Summary) {
	var o, s []float64
	for _, x := range r.samples {
		o, s = append(o, x.Others), append(s, x.Stolen)
	}
	return stats.Of(o), stats.Of(s)
}

// series is one figure of an entrant in a row, by round.
func (r report) series(pairing int, row string, e entrant, figure func(sample) float64) map[int]float64 {
	out := map[int]float64{}
	for _, s := range r.samples {
		if s.Pairing == pairing && s.Row == row && s.entrant == e {
			out[s.Round] = figure(s)
		}
	}
	return out
}

func cpuOf(s sample) float64  { return s.CPU }
func idleOf(s sample) float64 { return s.IdleUser }

// summary has a line per row: what Sluice costs as a multiple of what the peers cost.
func (r report) summary(b *strings.Builder, pairing int) {
	type column struct {
		us    mode
		rival entrant
	}
	var columns []column
	for _, m := range r.modes {
		for _, p := range r.peers {
			if !logs(p) && m != off {
				continue
			}
			columns = append(columns, column{m, entrant{us, m}.rival(p)})
		}
	}
	fmt.Fprintf(b, "\n### CPU of sluice as a multiple of the peer's (below 1: sluice is cheaper)\n\nMedian of the rounds' ratios (least to most).\n\n| row ")
	for _, c := range columns {
		fmt.Fprintf(b, "| %s / %s ", map[mode]string{off: "off", on: "key and rule", shipped: "as shipped"}[c.us], c.rival)
	}
	b.WriteString("|\n|---" + strings.Repeat("|---", len(columns)) + "|\n")
	for _, row := range rows() {
		var cells []string
		found := false
		for _, c := range columns {
			figure := cpuOf
			if row.idle {
				figure = idleOf
			}
			q := stats.Ratio(r.series(pairing, row.name, entrant{us, c.us}, figure), r.series(pairing, row.name, c.rival, figure))
			found = found || q.N > 0
			cells = append(cells, ratio(q))
		}
		if found {
			fmt.Fprintf(b, "| %s | %s |\n", row.name, strings.Join(cells, " | "))
		}
	}
	b.WriteString("\n`idle8000` and `idletls` compare bytes of memory per connection. The floor has no stages and no log.\n")
}

func ratio(s stats.Summary) string {
	if s.N == 0 {
		return "-"
	}
	return fmt.Sprintf("**%.2f** (%.2f to %.2f)", s.Median, s.Min, s.Max)
}

// scaling compares few with many connections and routes.
func (r report) scaling(b *strings.Builder, pairing int) {
	var lines []string
	for _, c := range []struct{ few, many, words string }{
		{"get10", "get8000", "8,000 connections / 10"}, {"routes10", "routes100k", "100,000 routes / 10"},
	} {
		for _, e := range r.everybody() {
			if q := stats.Ratio(r.series(pairing, c.many, e, cpuOf), r.series(pairing, c.few, e, cpuOf)); q.N > 0 {
				lines = append(lines, fmt.Sprintf("| %s | %s | %s |\n", c.words, e, ratio(q)))
			}
		}
	}
	if len(lines) > 0 {
		b.WriteString("\n### What more of everything costs\n\n| | | CPU per request, multiple |\n|---|---|---|\n" + strings.Join(lines, ""))
	}
}

// everybody is every entrant that there are samples of, sluice first.
func (r report) everybody() (all []entrant) {
	for _, p := range append([]string{us}, r.peers...) {
		for _, m := range []mode{off, on, shipped} {
			if e := (entrant{p, m}); slices.ContainsFunc(r.samples, func(s sample) bool { return s.entrant == e }) {
				all = append(all, e)
			}
		}
	}
	return all
}

// row is the table of one kind of work.
func (r report) row(b *strings.Builder, pairing int, row row) {
	var lines []string
	for _, e := range r.everybody() {
		get := func(f func(sample) float64) stats.Summary {
			return stats.Of(stats.Values(r.series(pairing, row.name, e, f)))
		}
		if get(cpuOf).N == 0 {
			continue
		}
		figure := cpuOf
		if row.idle {
			figure = idleOf
		}
		match := e.mode
		if e.peer == us {
			match = off
		}
		to := ratio(stats.Ratio(r.series(pairing, row.name, e, figure), r.series(pairing, row.name, entrant{us, match}, figure)))
		if row.idle {
			lines = append(lines, idleLine(e, get, to))
		} else {
			lines = append(lines, workLine(row, e, get, to))
		}
	}
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(b, "\n### %s: %s\n\n", row.name, row.title)
	if row.idle {
		b.WriteString("| entrant | user memory per connection, B | Go heap and stacks in use, B | RSS with all, MiB | to sluice |\n|---|---|---|---|---|\n")
	} else {
		fmt.Fprintf(b, "| entrant | CPU us/%[1]s | user | sys | %[1]ss/s | p50 ms | p99 ms | p99.9 ms | RSS MiB | to sluice | waited us | allocs | feeders |\n|---%[2]s|\n", row.unit(), strings.Repeat("|---", 12))
	}
	b.WriteString(strings.Join(lines, ""))
	if row.quota {
		r.quotaTable(b, pairing, row)
	} else if row.load.Mode == load.Paced {
		r.pace(b, pairing, row)
	}
}

// pace says what about a fixed rate was not the proxies' doing.
func (r report) pace(b *strings.Builder, pairing int, row row) {
	var late []float64
	starved := 0
	for _, s := range r.samples {
		if s.Pairing == pairing && s.Row == row.name {
			late = append(late, s.Late)
			if s.Rate < 0.99*float64(row.load.Rate) {
				starved++
			}
		}
	}
	l := stats.Of(late)
	fmt.Fprintf(b, "\nThe client itself began a request late, with a connection free, by at most %.2f ms in the median sample and %.2f ms in the worst: no tail below that is the proxy's. ", l.Median/1e3, l.Max/1e3)
	fmt.Fprintf(b, "%d of %d samples did not keep the rate: what waits is served in batches, and looks cheap.\n", starved, len(late))
}

func idleLine(e entrant, get func(func(sample) float64) stats.Summary, to string) string {
	u, h := get(idleOf), get(func(s sample) float64 { return s.IdleHeap })
	heap := "-"
	if h.Median >= 0 {
		heap = fmt.Sprintf("%.0f", h.Median)
	}
	return fmt.Sprintf("| %s | %.0f (%.0f to %.0f) | %s | %.1f | %s |\n", e, u.Median, u.Min, u.Max, heap, get(func(s sample) float64 { return s.RSS }).Median/(1<<20), to)
}

func workLine(row row, e entrant, get func(func(sample) float64) stats.Summary, to string) string {
	c, p99 := get(cpuOf), get(func(s sample) float64 { return s.P99 })
	allocs, feeders := get(func(s sample) float64 { return s.Allocs }).Median, get(func(s sample) float64 { return s.Feeders }).Median
	told, busy := "-", fmt.Sprintf("%.0f%%", 100*feeders)
	if allocs >= 0 {
		told = fmt.Sprintf("%.3f", allocs)
	}
	if feeders > saturated {
		busy += " full"
	}
	med := func(f func(sample) float64) float64 { return get(f).Median }
	latency := "- | - | -" // a stream has none
	if !row.perMiB {
		latency = fmt.Sprintf("%.2f | %.2f (%.2f to %.2f) | %.2f", med(func(s sample) float64 { return s.P50 })/1e3,
			p99.Median/1e3, p99.Min/1e3, p99.Max/1e3, med(func(s sample) float64 { return s.P999 })/1e3)
	}
	return fmt.Sprintf("| %s | **%.2f** (%.2f to %.2f) | %.2f | %.2f | %.0f | %s | %.1f | %s | %.1f | %s | %s |\n",
		e, c.Median, c.Min, c.Max, med(func(s sample) float64 { return s.User }), med(func(s sample) float64 { return s.Sys }),
		med(func(s sample) float64 { return s.Rate }), latency, med(func(s sample) float64 { return s.RSS })/(1<<20), to,
		med(func(s sample) float64 { return s.Waited }), told, busy)
}

func (r report) failed(b *strings.Builder) {
	if len(r.failures) == 0 {
		return
	}
	b.WriteString("\n## Samples that failed and are not in the tables\n\n")
	for _, f := range r.failures {
		fmt.Fprintf(b, "- %s\n", strings.ReplaceAll(f, "\n", " "))
	}
}

// appendix shows every configuration as it was used, with ports and folders of an example.
func (r report) appendix(b *strings.Builder) error {
	b.WriteString("\n## Appendix: configurations\n\nAs rendered for one worker with the access log, with example ports; without it the lines about the log are missing.\n")
	s := setting{Dir: "DIR", Workers: 1, Descriptors: 19000, HTTP: 8080, TCP: 8081, Probes: 9902, OriginHTTP: 9000, OriginTCP: 9001, OriginGRPC: 9002, Log: true, KeySum: "SHA-256 of the key"}
	names := map[string][]string{us: {"sluice.yaml", "policy.yaml", "keys.yaml"}, "nginx": {"nginx.conf"}, "haproxy": {"haproxy.cfg"}, "caddy": {"caddy.json"}}
	for _, p := range append([]string{us}, r.peers...) {
		for _, name := range names[p] {
			text, err := s.render(name)
			if err != nil {
				return err
			}
			fmt.Fprintf(b, "\n`%s`\n\n```\n%s\n```\n", name, strings.TrimSpace(string(text)))
		}
	}
	fmt.Fprintf(b, "\nsluice with its stages off: `%s`\n", strings.Join(s.public(programs{sluice: "sluice"}), " "))
	fmt.Fprintf(b, "\nThe floor: `gcc -O2 bench/peers/floor/floor.c`; it splices in get1m, up1m and tcpbulk and copies elsewhere. The client and the origin are this program (%s).\n", runtime.Version())
	return nil
}
