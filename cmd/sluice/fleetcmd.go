package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/fleet"
)

func newFleet() *cobra.Command {
	c := &cobra.Command{
		Use:   "fleet",
		Short: "See all replicas of a fleet, and restart them one after the other",
		Long: `With fleet.enabled each replica registers in etcd, under a lease, and asks for its turn before it stops to be
ready: no more than fleet.budget are away at once. These commands look at that from outside: they ask etcd, as the
configuration says how, and no replica has to answer.`,
		Example: `  sluice fleet status -c sluice.yaml
  sluice fleet roll -c sluice.yaml --restart-command 'ssh "$REPLICA_HOST" systemctl restart sluice'`,
	}
	runGroup(c)
	c.AddCommand(newFleetStatus(), newFleetRoll())
	return teach(c, exits{exitOK: "done", exitFailed: "not done, or etcd does not answer", exitUsage: "usage or configuration"}, "status", "drain", "docs/fleet.md")
}

// fleetTarget says which fleet.
type fleetTarget struct {
	file   string
	asJSON bool
}

func (t *fleetTarget) bind(fs *pflag.FlagSet) {
	fs.StringVarP(&t.file, "config", "c", os.Getenv("SLUICE_CONFIG"), "configuration file of a replica; also SLUICE_CONFIG")
	fs.BoolVar(&t.asJSON, "json", false, "print JSON")
}

// open reads the configuration and opens its etcd, which the caller closes.
func (t *fleetTarget) open() (*config.Config, sharedStore, error) {
	if t.file == "" {
		return nil, nil, errors.New("which fleet? Give the configuration of a replica: -c sluice.yaml")
	}
	text, err := os.ReadFile(t.file)
	if err != nil {
		return nil, nil, fmt.Errorf("read the configuration: %w", err)
	}
	cfg, err := config.Load(config.Source{Name: t.file, Text: text, Env: environment()})
	if err != nil {
		return nil, nil, err
	}
	store, err := mustShared(cfg)
	return cfg, store, err
}

// fleetReport is what `sluice fleet status --json` prints.
type fleetReport struct {
	At       time.Time      `json:"at"`
	Store    string         `json:"store"`
	Budget   string         `json:"budget"`    // fleet.budget of the file
	MayLeave int            `json:"may_leave"` // how many that is, of those there are
	Away     int            `json:"away"`      // that count against it
	Waiting  int            `json:"waiting"`   // for their turn
	Replicas []fleetReplica `json:"replicas"`  // by ID; with those that are away and not registered any more
}

// fleetReplica is a replica as the store knows it.
type fleetReplica struct {
	fleet.Replica
	AgeSeconds  float64      `json:"age_seconds"`     // since the process was started
	SeenSeconds float64      `json:"seen_seconds"`    // since it wrote this; it lives as long as its lease in any case
	Registered  bool         `json:"registered"`      // false: only its claim is left
	Claim       *fleet.Claim `json:"claim,omitempty"` // it is away, or wants to be
}

func newFleetStatus() *cobra.Command {
	t := &fleetTarget{}
	c := &cobra.Command{
		Use: "status", Short: "Show every replica: its state, its policy, and who is away", Args: cobra.NoArgs,
		Long: `Show every replica that is registered: state, policy in force, hash of the session keys, load, version of the
program, since when it runs, and whether it is away or waits for its turn. One that is gone without a word stays
until its lease is over (fleet.ttl).`,
		Example: `  sluice fleet status -c sluice.yaml
  sluice fleet status -c sluice.yaml --json | jq '.replicas[] | select(.ready | not)'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, store, err := t.open()
			if err != nil {
				return fail(exitUsage, err)
			}
			defer store.Close()
			v, err := store.Fleet().Look(cmd.Context())
			if err != nil {
				return fail(exitFailed, err)
			}
			r := fleetReportOf(v, cfg.FleetBudget(), store.Name(), time.Now())
			if t.asJSON {
				return printJSON(cmd.OutOrStdout(), r)
			}
			return printFleet(cmd.OutOrStdout(), r)
		},
	}
	t.bind(c.Flags())
	return teach(c, exits{exitOK: "etcd answered", exitFailed: "it did not", exitUsage: "usage or configuration"}, "fleet roll", "status", "docs/fleet.md")
}

func fleetReportOf(v fleet.View, b fleet.Budget, store string, now time.Time) fleetReport {
	r := fleetReport{At: now, Store: store, Budget: b.String(), MayLeave: b.Of(v.Size()), Replicas: []fleetReplica{}}
	for _, x := range v.Replicas() {
		r.Replicas = append(r.Replicas, fleetReplica{Replica: x, Registered: true, AgeSeconds: max(0, now.Sub(x.Started).Seconds()), SeenSeconds: max(0, now.Sub(x.At).Seconds())})
	}
	for _, s := range v.Line() {
		if s.Phase == fleet.PhaseWaiting {
			r.Waiting++
		} else {
			r.Away++
		}
		i := slices.IndexFunc(r.Replicas, func(x fleetReplica) bool { return x.ID == s.ID })
		if i < 0 {
			i = len(r.Replicas)
			r.Replicas = append(r.Replicas, fleetReplica{Replica: fleet.Replica{ID: s.ID, Instance: s.Instance}})
		}
		r.Replicas[i].Claim = &s.Claim
	}
	slices.SortFunc(r.Replicas, func(a, b fleetReplica) int { return strings.Compare(a.ID, b.ID) })
	return r
}

func printFleet(out io.Writer, r fleetReport) error {
	fmt.Fprintf(out, "%d replicas; budget %s: %d may be away at once, %d are, %d wait\n\n", len(r.Replicas), r.Budget, r.MayLeave, r.Away, r.Waiting)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tSTATE\tREADY\tPOLICY\tKEYS\tEXCHANGES\tCONNECTIONS\tVERSION\tAGE\tAWAY")
	for _, x := range r.Replicas {
		if !x.Registered {
			fmt.Fprintf(w, "%s\tgone\t-\t-\t-\t-\t-\t-\t-\t%s\n", x.ID, awayText(x.Claim, r.At))
			continue
		}
		ready := "no"
		if x.Ready {
			ready = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", x.ID, x.State, ready, policyText(x.Policy), dash(fmt.Sprintf("%.8s", x.KeyRing)),
			x.Exchanges, x.Connections, x.Binary, (time.Duration(x.AgeSeconds) * time.Second).String(), awayText(x.Claim, r.At))
	}
	return w.Flush()
}

func policyText(p fleet.Policy) string {
	switch {
	case p.Hash == "":
		return "none"
	case p.Number == 0:
		return fmt.Sprintf("%.12s", p.Hash)
	}
	return fmt.Sprintf("%d (%.12s)", p.Number, p.Hash)
}

// awayText says why somebody is away, and how long.
func awayText(c *fleet.Claim, now time.Time) string {
	if c == nil {
		return "-"
	}
	text := fmt.Sprintf("%s %s", c.Phase, max(0, now.Sub(c.Since)).Round(time.Second))
	if c.Turn != fleet.OutcomeGiven && c.Phase != fleet.PhaseWaiting {
		text += ", without a turn"
	}
	return text
}

// lookFor reads the store within a bound that a loop can wait for.
func lookFor(ctx context.Context, s fleet.Store) (fleet.View, error) {
	ctx, cancel := context.WithTimeout(ctx, fleet.DefaultCall)
	defer cancel()
	return s.Look(ctx)
}
