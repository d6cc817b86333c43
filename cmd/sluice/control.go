package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluiceproxy/sluice/admin"
	"github.com/sluiceproxy/sluice/config"
)

// The commands that talk to the admin listener of a running proxy.

// target says where it is.
type target struct {
	file, addr, token string
	generation        int
	asJSON            bool
}

func (t *target) bind(fs *pflag.FlagSet) {
	fs.StringVarP(&t.file, "config", "c", os.Getenv("SLUICE_CONFIG"), "configuration file of the proxy; also SLUICE_CONFIG")
	fs.StringVar(&t.addr, "admin-address", "", "address of the admin listener (admin.address)")
	fs.StringVar(&t.token, "admin-token-file", "", "file with its token (admin.token_file)")
	fs.IntVar(&t.generation, "generation", 0, "ask this generation, which drains since an upgrade; 0: the one that serves")
	fs.BoolVar(&t.asJSON, "json", false, "print JSON")
}

// client finds the address and the token as the proxy does.
func (t *target) client() (*admin.Client, error) {
	addr, token := t.addr, t.token
	if v := os.Getenv(config.EnvName("admin.address")); addr == "" && v != "" {
		addr = v
	}
	if v := os.Getenv(config.EnvName("admin.token_file")); token == "" && v != "" {
		token = v
	}
	if t.file != "" && (addr == "" || token == "") {
		text, err := os.ReadFile(t.file)
		if err != nil {
			return nil, fmt.Errorf("read the configuration: %w", err)
		}
		cfg, err := config.Load(config.Source{Name: t.file, Text: text, Env: environment()})
		if err != nil {
			return nil, err
		}
		if addr == "" {
			addr = cfg.Admin.Address
		}
		if token == "" {
			token = cfg.Admin.TokenFile
		}
	}
	if addr == "" {
		addr = config.Default().Admin.Address
	}
	return admin.NewClient(admin.ClientConfig{Address: addr, TokenFile: token, Generation: t.generation})
}

func newStatus() *cobra.Command {
	t := &target{}
	var generations bool
	c := &cobra.Command{
		Use: "status", Short: "Show the state of a running proxy", Args: cobra.NoArgs,
		Long: `Show the process state, the checks, the policy in force, and during a drain how much is left. It asks
the private listener (admin.address), and finds it as the proxy does: by the file, the environment, or a flag.
Whether it is ready is for "sluice health".`,
		Example: `  sluice status -c sluice.yaml
  sluice status -c sluice.yaml --json | jq .policy
  sluice status --admin-address unix:/run/sluice/admin.sock --generations`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := t.client()
			if err != nil {
				return fail(exitUsage, err)
			}
			if generations {
				return showGenerations(cmd, client, t.asJSON)
			}
			s, err := client.Status(cmd.Context())
			if err != nil {
				return fail(exitFailed, err)
			}
			if t.asJSON {
				return printJSON(cmd.OutOrStdout(), s)
			}
			return printStatus(cmd.OutOrStdout(), s)
		},
	}
	t.bind(c.Flags())
	c.Flags().BoolVar(&generations, "generations", false, "list the generations of the process: who serves, and who drains since an upgrade")
	return teach(c, exits{exitOK: "it answered", exitFailed: "it did not, or refused", exitUsage: "usage or configuration"}, "health", "drain", "upgrade", "docs/operations.md")
}

func printStatus(out io.Writer, s admin.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "process\t%s since %s (generation %d, pid %d)\n", s.Process.State, s.Process.Since.Format(time.DateTime), s.Generation, s.PID)
	fmt.Fprintf(w, "readiness\t%s\n", s.Readiness)
	fmt.Fprintf(w, "policy\t%s from %s\n", orNone(s.Policy.Version), s.Policy.Source)
	if r := s.Policy.Rejected; r != nil {
		fmt.Fprintf(w, "rejected\tversion %s since %s [%s]: %s\n", r.Version, r.Since.Format(time.DateTime), r.Reason, r.Error)
	}
	if at := s.Policy.Expires; !at.IsZero() {
		verb := "expires"
		if s.Policy.Expired {
			verb = "expired, and still in force,"
		}
		fmt.Fprintf(w, "\t%s %s\n", verb, at.Format(time.DateTime))
	}
	if of := s.Sessions; of != nil {
		read := "read %.1f s ago"
		if of.RevokedState.Error != "" { // maybe it never was
			read = "not read well for %.1f s"
		}
		fmt.Fprintf(w, "sessions\tkeys %s, sealed by %s; %d revocations in force, %d not on disk, "+read+"\n", orNone(of.Ring), orNone(of.Seals), of.RevokedState.Entries, of.RevokedState.Pending, of.RevokedState.StaleSeconds)
	}
	if f := s.Fleet; f != nil {
		fmt.Fprintf(w, "fleet\t%s\n", fleetLine(*f))
	}
	fmt.Fprintf(w, "connections\t%s (%d admitted, %d refused so far)\n", s.Connections, s.Tracked, s.Refused)
	fmt.Fprintf(w, "upstreams\t%d of %d endpoints healthy, %d requests wait\n", s.Upstreams.Healthy, s.Upstreams.Endpoints, s.Upstreams.Waiting)
	for _, e := range s.Upstreams.Out {
		fmt.Fprintf(w, "\t%s of cluster %s is %s\n", e.Endpoint, e.Cluster, e.State)
	}
	if p := s.Drain; p.SecondsLeft > 0 {
		what := "drain"
		if p.TurnWaits {
			what = "waits for its turn"
		}
		fmt.Fprintf(w, "%s\t%s, %.1f s left, one more signal %s\n", what, p.Remaining, p.SecondsLeft, p.NextSignal)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Statuses)) {
		c := s.Statuses[name]
		fmt.Fprintf(w, "%s\t%s %s\n", name, c.Status, c.Error)
	}
	return w.Flush()
}

func orNone(s string) string {
	if s == "" {
		return "none in force"
	}
	return s
}

// reloaded is what `sluice reload --json` prints: of a refusal only the exit code and the error tell.
type reloaded struct {
	OK bool `json:"ok"`
}

func newReload() *cobra.Command {
	t := &target{}
	c := &cobra.Command{
		Use: "reload", Short: "Have a running proxy read policy and keys again", Args: cobra.NoArgs,
		Long: `Have a running proxy read its policy, keys and certificates again, as SIGHUP does. If something is
wrong with them, what is in force stays and every fault is printed. It notices changes by itself: use
it where you want to know at once whether a change was taken. The configuration itself needs a restart
or "sluice upgrade".`,
		Example: `  sluice reload -c sluice.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := t.client()
			if err != nil {
				return fail(exitUsage, err)
			}
			if err := client.Reload(cmd.Context()); err != nil {
				return fail(exitFailed, err)
			}
			if t.asJSON {
				return printJSON(cmd.OutOrStdout(), reloaded{OK: true})
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "reloaded")
			return err
		},
	}
	t.bind(c.Flags())
	return teach(c, exits{exitOK: "reloaded", exitFailed: "refused, and what was in force stays; or no answer", exitUsage: "usage or configuration"}, "validate", "upgrade", "status", "docs/operations.md")
}

func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
