package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/admin"
	"github.com/sluiceproxy/sluice/authz/policysync"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/internal/fleet"
)

// rollFlags are the flags of `sluice fleet roll`.
type rollFlags struct {
	fleetTarget
	replicas    []string
	budget      string
	command     string
	token       string
	readyWithin time.Duration
	storeWait   time.Duration
	noAccount   bool
}

// rollReport is what `sluice fleet roll --json` prints.
type rollReport struct {
	Restarted int              `json:"restarted"`
	Total     int              `json:"total"`
	Lost      int              `json:"lost"`
	Stopped   string           `json:"stopped,omitempty"` // why it did not go on; empty: all were restarted
	Replicas  []fleet.RollStep `json:"replicas"`
}

func newFleetRoll() *cobra.Command {
	f := &rollFlags{}
	c := &cobra.Command{
		Use: "roll", Short: "Restart all replicas, never more than the budget at a time, and stop at the first loss", Args: cobra.NoArgs,
		Long: `Restart the replicas one after the other, or as many at a time as the budget allows (fleet.budget, --budget). A
replica is done when its new process is registered, ready, and has the newest policy; and its old process has left an
account that says that nothing was lost. The roll stops, and restarts nobody else, when

  something was lost    the account of the old process counts a request, a stream or a tunnel that was cut
  one is not back       within --ready-within
  nobody knows          the old process left no account (--without-account goes on all the same)
  etcd is silent        for longer than --store-wait; until then nobody is restarted, and it waits

How a replica is restarted: with --restart-command, by a shell command, which has REPLICA_ID, REPLICA_HOST,
REPLICA_PID and REPLICA_ADMIN in its environment and may return before the new process is up. Without it, by its
private listener (admin.address, which must be reachable from here): that has the process drain and exit, and whatever
supervises it starts the next one. Either way the old process waits for its turn like any that is told to stop.`,
		Example: `  sluice fleet roll -c sluice.yaml --restart-command 'ssh "$REPLICA_HOST" systemctl restart sluice'
  sluice fleet roll -c sluice.yaml --budget 10% --restart-command 'kubectl delete pod "$REPLICA_ID" --wait=false'
  sluice fleet roll -c sluice.yaml --replica edge-1 --replica edge-2 --admin-token-file token`,
		RunE: f.run,
	}
	f.bind(c.Flags())
	fs := c.Flags()
	fs.StringArrayVar(&f.replicas, "replica", nil, "restart this one; again for more, in that order; without: all")
	fs.StringVar(&f.budget, "budget", "", "how many at a time: a number, or a share such as 10% (fleet.budget)")
	fs.StringVar(&f.command, "restart-command", "", "shell command that restarts a replica; without: its private listener is asked")
	fs.StringVar(&f.token, "admin-token-file", "", "file with the token of the private listeners (admin.token_file)")
	fs.DurationVar(&f.readyWithin, "ready-within", 5*time.Minute, "how long one restart may take, with its wait for a turn")
	fs.DurationVar(&f.storeWait, "store-wait", 2*time.Minute, "how long etcd may be silent")
	fs.BoolVar(&f.noAccount, "without-account", false, "go on though nobody knows what an old process lost")
	return teach(c, exits{exitOK: "all were restarted, and nothing was lost", exitFailed: "it stopped: the reason is printed, and who was restarted", exitUsage: "usage or configuration"},
		"fleet status", "drain", "docs/fleet.md")
}

func (f *rollFlags) run(cmd *cobra.Command, _ []string) error {
	cfg, shared, err := f.open()
	if err != nil {
		return fail(exitUsage, err)
	}
	defer shared.Close()
	budget := cfg.FleetBudget()
	if f.budget != "" {
		if budget, err = fleet.ParseBudget(f.budget); err != nil {
			return fail(exitUsage, fmt.Errorf("--budget: %w", err))
		}
	}
	if f.readyWithin <= 0 || f.storeWait <= 0 {
		return fail(exitUsage, errors.New("--ready-within and --store-wait are positive: every wait has an end"))
	}
	if f.token == "" {
		f.token = cfg.Admin.TokenFile
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	store := shared.Fleet()
	v, err := lookFor(ctx, store)
	if err != nil {
		return fail(exitFailed, err)
	}
	plan := fleet.RollConfig{IDs: f.replicas, Budget: budget, ReadyWithin: f.readyWithin, StoreWait: f.storeWait, NoAccount: f.noAccount}
	h := &newestHead{cfg: cfg, store: shared}
	if h.trust, err = trustOf(cfg); err != nil {
		return fail(exitUsage, err)
	}
	plan.Head = h.last
	roll, err := fleet.NewRoll(plan, v, time.Now())
	if err != nil {
		return fail(exitFailed, err)
	}
	r := &roller{flags: f, store: store, roll: roll, head: h, told: map[string]string{}, results: make(chan asked, len(roll.Steps()))}
	if !f.asJSON {
		r.out = cmd.OutOrStdout()
		fmt.Fprintf(r.out, "restarting %d of %d replicas, at most %d at a time\n", len(roll.Steps()), v.Size(), budget.Of(v.Size()))
	}
	interrupted := r.run(ctx)
	report := r.report(interrupted)
	if f.asJSON {
		if err := printJSON(cmd.OutOrStdout(), report); err != nil {
			return err
		}
	}
	if report.Stopped != "" {
		return fail(exitFailed, fmt.Errorf("stopped: %s; %d of %d were restarted", report.Stopped, report.Restarted, report.Total))
	}
	if r.out != nil {
		fmt.Fprintf(r.out, "all %d were restarted, nothing was lost\n", report.Total)
	}
	return nil
}

// rollLook is how often a roll looks at the store.
const rollLook = 500 * time.Millisecond

// roller carries out a roll.
type roller struct {
	flags   *rollFlags
	store   fleet.Store
	roll    *fleet.Roll
	head    *newestHead
	out     io.Writer         // nil: JSON alone
	told    map[string]string // what was printed last of each
	silent  bool
	asking  sync.WaitGroup
	results chan asked // of capacity for all
}

// asked is what came of asking a replica to restart.
type asked struct {
	id  string
	err error
}

// run goes on until the roll is done. It reports whether it was interrupted: then what is under way is left as it is.
func (r *roller) run(ctx context.Context) (interrupted bool) {
	within, cancel := context.WithCancel(ctx)
	defer func() { cancel(); r.asking.Wait() }()
	tick := time.NewTicker(rollLook)
	defer tick.Stop()
	for {
		r.step(within)
		if r.tell(); r.roll.Done() {
			return false
		}
		select {
		case a := <-r.results:
			r.roll.Asked(a.id, a.err)
		case <-tick.C:
		case <-ctx.Done():
			return true
		}
	}
}

// step looks once and asks whoever is next.
func (r *roller) step(ctx context.Context) {
	v, err := lookFor(ctx, r.store)
	if err == nil {
		err = r.head.read(ctx)
	}
	if err != nil {
		if ctx.Err() == nil {
			r.roll.Silent(time.Now(), err)
			why := "etcd does not answer"
			if refused := (*policysync.Refusal)(nil); errors.As(err, &refused) {
				why = "who starts now would refuse the policy" // and would not be ready
			}
			r.say(!r.silent, "%s; waiting, and restarting nobody: %v", why, err)
			r.silent = true
		}
		return
	}
	r.say(r.silent, "etcd answers again")
	r.silent = false
	for _, x := range r.roll.Step(time.Now(), v) {
		r.asking.Go(func() { // ends with the restart, or with ctx
			ctx, cancel := context.WithTimeout(ctx, r.flags.readyWithin)
			defer cancel()
			r.results <- asked{x.ID, r.flags.restart(ctx, x)}
		})
	}
}

func (r *roller) say(when bool, format string, args ...any) {
	if when && r.out != nil {
		fmt.Fprintf(r.out, format+"\n", args...)
	}
}

// tell prints what is new.
func (r *roller) tell() {
	for _, s := range r.roll.Steps() {
		var line string
		switch s.State {
		case fleet.RollPending:
			line = s.Reason
		case fleet.RollUnderway:
			line = "restarting; " + s.Reason
		case fleet.RollRestarted:
			line = fmt.Sprintf("restarted in %s, lost %d", s.Ready.Sub(s.Asked).Round(100*time.Millisecond), s.Lost)
		case fleet.RollFailed:
			line = "failed: " + s.Reason
		}
		if line = strings.TrimSuffix(line, "; "); line != "" && r.told[s.ID] != line {
			r.told[s.ID] = line
			r.say(true, "%s\t%s", s.ID, line)
		}
	}
}

func (r *roller) report(interrupted bool) rollReport {
	out := rollReport{Stopped: r.roll.Stopped(), Replicas: r.roll.Steps()}
	for _, s := range out.Replicas {
		out.Total++
		out.Lost += s.Lost
		if s.State == fleet.RollRestarted {
			out.Restarted++
		}
	}
	if interrupted && out.Stopped == "" {
		out.Stopped = "interrupted"
	}
	return out
}

// restart asks a replica to restart, by the command or by its private listener.
func (f *rollFlags) restart(ctx context.Context, x fleet.Replica) error {
	if f.command == "" {
		if x.Admin == "" {
			return errors.New("it does not say where its private listener is; give --restart-command")
		}
		client, err := admin.NewClient(admin.ClientConfig{Address: x.Admin, TokenFile: f.token})
		if err != nil {
			return err
		}
		_, err = client.Drain(ctx, admin.ActionStart, false)
		return err
	}
	c := exec.CommandContext(ctx, "sh", "-c", f.command)
	c.Env = append(os.Environ(), "REPLICA_ID="+x.ID, "REPLICA_HOST="+x.Host, "REPLICA_PID="+strconv.Itoa(x.PID), "REPLICA_ADMIN="+x.Admin)
	c.WaitDelay = time.Second
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) { // what it left running keeps its output open
		return fmt.Errorf("%w: %.500s", err, strings.TrimSpace(said.String()))
	}
	return nil
}

// newestHead is the newest version that was published, where the policy is in etcd.
type newestHead struct {
	cfg    *config.Config
	store  sharedStore
	trust  *policysync.Trust // that of the replicas
	policy fleet.Policy
}

func (h *newestHead) last() fleet.Policy { return h.policy }

// read reads it. That there is none is no error: then the replicas alone know.
func (h *newestHead) read(ctx context.Context) error {
	if h.cfg.Policy.Source != "etcd" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, fleet.DefaultCall)
	defer cancel()
	head, err := policysync.FromStore(h.store.Policies(), h.trust).Head(ctx)
	if errors.Is(err, policysync.ErrNoPolicy) {
		return nil
	}
	if err == nil {
		h.policy = fleet.Policy{Number: head.Version.Number, Hash: head.Version.Hash, Ordered: true}
	}
	return err
}
