package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluiceproxy/sluice/bench/lab"
	"github.com/sluiceproxy/sluice/bench/lab/peers"
	"github.com/sluiceproxy/sluice/bench/lab/plan"
	"github.com/sluiceproxy/sluice/bench/lab/record"
	"github.com/sluiceproxy/sluice/bench/lab/replica"
	"github.com/sluiceproxy/sluice/bench/lab/report"
)

// rollFlags are those of roll.
type rollFlags struct {
	cfg      lab.Config
	proxies  []string
	plans    []string
	classes  []string
	balancer string
	sluice   string
	quiet    bool
	json     string
	html     string
	repeat   int
	limits   report.Limits
	attachFlags
}

func newRoll() *cobra.Command {
	f := &rollFlags{}
	c := &cobra.Command{
		Use: "roll", Short: "Restart replicas by a plan under load", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f.bind(c.Flags())
	f.attachFlags.bind(c.Flags())
	return c
}

func (f *rollFlags) bind(fs *pflag.FlagSet) {
	fs.StringSliceVar(&f.proxies, "proxy", []string{"sluice"}, "sluice, "+strings.Join(peers.Names(), ", ")+"; or all")
	fs.StringSliceVar(&f.plans, "plan", []string{string(plan.Sequential)}, "how to restart: "+kinds()+"; or all")
	fs.IntVar(&f.cfg.Replicas, "replicas", 2, "how many serve")
	fs.Float64Var(&f.cfg.Rate, "rate", 1000, "arrivals a second, of all classes")
	fs.IntVar(&f.cfg.Requests, "requests", 0, "go on until so many arrived; 0: as long as the plan takes")
	fs.StringSliceVar(&f.classes, "class", nil, "classes of clients: "+classes()+"; all if not given")
	fs.Uint64Var(&f.cfg.Seed, "seed", 1, "of when each request is due")
	fs.DurationVar(&f.cfg.LameDuck, "lame-duck", time.Second, "not ready and still accepting, of every proxy")
	fs.DurationVar(&f.cfg.Drain, "drain", 10*time.Second, "then so long to finish")
	fs.StringVar(&f.balancer, "balancer", "readiness", "readiness, or blind: one that does not ask")
	fs.DurationVar(&f.cfg.Long, "long", 0, "how long slow requests take, and half a stream; 0: one and a half lame ducks")
	fs.StringVar(&f.cfg.Front, "front", "", "a real balancer in place of the lab's, for Sluice: haproxy or nginx")
	fs.DurationVar(&f.cfg.Poll, "poll", 50*time.Millisecond, "how often the balancer asks a replica")
	fs.DurationVar(&f.cfg.Propagation, "propagation", 300*time.Millisecond, "until what it learned takes effect")
	fs.DurationVar(&f.cfg.Warm, "warm", 3*time.Second, "load before the first restart")
	fs.DurationVar(&f.cfg.Cool, "cool", 2*time.Second, "load after the last")
	fs.DurationVar(&f.cfg.MaxLag, "max-lag", 500*time.Millisecond, "how late the generator may be")
	fs.StringVar(&f.sluice, "sluice", "", "binary of Sluice; if not given: beside this program, in bin, in the path, or built from the tree")
	fs.StringVar(&f.cfg.Dir, "dir", "", "keep configurations and logs of the replicas there")
	fs.BoolVar(&f.quiet, "quiet", false, "only the table")
	fs.StringVar(&f.json, "json", "", "file for everything that was measured (docs/lab.schema.json)")
	fs.StringVar(&f.html, "html", "", "file for one page that shows it, and needs no network")
	fs.IntVar(&f.repeat, "repeat", 1, "play each plan so often, with the next seed each time")
	fs.IntVar(&f.limits.MaxLost, "max-lost", 0, "how many may be lost")
	fs.DurationVar(&f.limits.MaxGap, "max-gap", 0, "the longest time without a success; 0: any")
	fs.DurationVar(&f.limits.P99, "p99", 0, "of short, keep-alive and per-request; 0: any")
}

func kinds() string {
	var names []string
	for _, k := range plan.Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

func classes() string {
	var names []string
	for _, c := range record.Classes() {
		names = append(names, c.String())
	}
	return strings.Join(names, ", ")
}

// prepare reads the flags that are lists.
func (f *rollFlags) prepare() (all []plan.Kind, err error) {
	if len(f.proxies) == 1 && f.proxies[0] == "all" {
		f.proxies = append([]string{"sluice"}, peers.Names()...)
	}
	if len(f.plans) == 1 && f.plans[0] == "all" {
		all = plan.Kinds()
	} else {
		for _, name := range f.plans {
			k, err := plan.Parse(name)
			if err != nil {
				return nil, err
			}
			all = append(all, k)
		}
	}
	for _, name := range f.classes {
		c, err := record.ParseClass(name)
		if err != nil {
			return nil, err
		}
		f.cfg.Classes = append(f.cfg.Classes, c)
	}
	switch f.balancer {
	case "readiness":
	case "blind":
		f.cfg.Blind = true
	default:
		return nil, fmt.Errorf("no balancer %q: there are readiness and blind", f.balancer)
	}
	if f.cfg.Front != "" && (len(f.proxies) != 1 || f.proxies[0] != "sluice" || f.cfg.Front != "haproxy" && f.cfg.Front != "nginx") {
		return nil, fmt.Errorf("--front %s: it is haproxy or nginx, and for Sluice only", f.cfg.Front)
	}
	if f.cfg.Attach, err = f.parse(); err != nil {
		return nil, err
	}
	if f.cfg.Attach != nil {
		f.proxies, all = []string{"attached"}, []plan.Kind{plan.Attached}
	}
	if f.cfg.Propagation == 0 {
		f.cfg.Propagation = -1 // in lab.Config, 0 is the default
	}
	return all, nil
}

// launcher finds a proxy. Only Sluice must be there.
func (f *rollFlags) launcher(ctx context.Context, name string) (replica.Launcher, func(), error) {
	if name == "sluice" {
		binary, done, err := findSluice(ctx, f.sluice)
		return replica.Sluice{Binary: binary}, done, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	l, err := peers.Find(name, peers.Places{Self: self, Dirs: besides(self)})
	return l, func() {}, err
}

func (f *rollFlags) run(ctx context.Context, out, narrate io.Writer) error {
	all, err := f.prepare()
	if err != nil {
		return &exitError{report.ExitUsage, err}
	}
	file, worst := report.NewFile(), 0
	for _, k := range all {
		var runs []report.Run
		for _, name := range f.proxies {
			r, exit, err := f.repeated(ctx, name, k, out, narrate, &file)
			if err != nil {
				return err
			}
			worst, runs = max(worst, exit), append(runs, r)
		}
		if len(f.proxies) > 1 || f.repeat > 1 {
			report.PeersTable(out, runs)
			fmt.Fprintln(out)
		}
	}
	if err := f.leave(file); err != nil {
		return &exitError{report.ExitUsage, err}
	}
	if worst != 0 {
		return &exitError{code: worst}
	}
	return nil
}

// repeated plays a plan as often as was asked for. Side by side only ours decides the exit.
func (f *rollFlags) repeated(ctx context.Context, name string, k plan.Kind, out, narrate io.Writer, file *report.File) (report.Run, int, error) {
	var runs []report.Run
	worst := 0
	for i := range max(f.repeat, 1) {
		r, err := f.one(ctx, name, k, uint64(i), narrate)
		if err != nil {
			return r, 0, err
		}
		if r.Skipped == "" {
			v := report.Judge(r, f.limits)
			r.Verdict = &v
			if len(f.proxies) == 1 || name == "sluice" {
				worst = max(worst, v.Exit)
			}
		}
		if len(f.proxies) == 1 {
			report.Table(out, r)
		}
		runs = append(runs, r)
		file.Add(r)
		if r.Skipped != "" {
			break
		}
	}
	return report.Merge(runs), worst, nil
}

// leave writes the files that were asked for.
func (f *rollFlags) leave(file report.File) error {
	if f.json != "" {
		text, err := json.MarshalIndent(file, "", " ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(f.json, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	if f.html == "" {
		return nil
	}
	var page bytes.Buffer
	if err := report.HTML(&page, file); err != nil {
		return err
	}
	return os.WriteFile(f.html, page.Bytes(), 0o644)
}

func (f *rollFlags) one(ctx context.Context, name string, k plan.Kind, n uint64, narrate io.Writer) (report.Run, error) {
	cfg := f.cfg
	cfg.Plan = k
	if cfg.Attach == nil {
		l, done, err := f.launcher(ctx, name)
		if err != nil {
			return report.Run{}, &exitError{report.ExitUsage, err}
		}
		defer done()
		cfg.Launcher = l
	}
	cfg.Seed += n
	if cfg.Dir != "" {
		cfg.Dir = fmt.Sprintf("%s/%s-%s-%d", cfg.Dir, name, k, cfg.Seed)
		if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
			return report.Run{}, &exitError{report.ExitUsage, err}
		}
	}
	if !f.quiet {
		show := &live{out: narrate, name: name, terminal: isTerminal(narrate), lameDuck: cfg.LameDuck, drain: cfg.Drain, began: time.Now()}
		defer show.done()
		cfg.Tell, cfg.Look = show.tell, show.look
	}
	r, err := lab.Roll(ctx, cfg)
	if err != nil {
		return r, &exitError{report.ExitUnproven, fmt.Errorf("%s: %w", name, err)}
	}
	return r, nil
}
