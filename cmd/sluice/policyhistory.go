package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/authz/policysync"
)

// pastVersion is a version that was published.
type pastVersion struct {
	Version    policysync.Version `json:"version"` // its number is 0 if it is not believed
	Present    bool               `json:"present"` // it is the head of the store
	Created    time.Time          `json:"created,omitzero"`
	Expires    time.Time          `json:"expires,omitzero"`
	MinProxy   string             `json:"min_proxy,omitempty"`
	Files      int                `json:"files"`
	Signatures int                `json:"signatures"`       // as many as it carries
	Reason     string             `json:"reason,omitempty"` // why it is not believed, in a word
	Error      string             `json:"error,omitempty"`
}

func pastOf(raw []byte, trust *policysync.Trust) pastVersion {
	h, err := policysync.OpenHead(raw, trust)
	v := pastVersion{Version: h.Version, Created: h.Created, Expires: h.Expires, MinProxy: h.MinProxy, Files: len(h.Objects)}
	if _, signatures, err := policysync.SplitHead(raw); err == nil {
		v.Signatures = len(signatures)
	}
	var r *policysync.Refusal
	if errors.As(err, &r) {
		v.Version, v.Reason, v.Error = r.Version, string(r.Reason), r.Error()
	}
	return v
}

func newPolicyHistory() *cobra.Command {
	f := &storeFlags{}
	limit := 20
	c := &cobra.Command{
		Use:   "history",
		Short: "List the versions that a store has had, newest first",
		Long: `List the versions that were published to a store, the present one first. What proxies would not believe,
by the keys of the configuration or of --keys, is there with the reason.`,
		Example: `  sluice policy history --store dir:/srv/policy
  sluice policy history -c sluice.yaml --json | jq '.[0].version.number'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return fail(exitUsage, errors.New("--limit is negative"))
			}
			return f.use(cmd.Context(), func(ctx context.Context, s *openedStore) error {
				heads, err := s.Heads(ctx, limit)
				if err != nil {
					return fail(exitFailed, err)
				}
				list := make([]pastVersion, 0, len(heads))
				for i, raw := range heads {
					v := pastOf(raw, s.trust)
					v.Present = i == 0
					list = append(list, v)
				}
				if f.asJSON {
					return printJSON(cmd.OutOrStdout(), list)
				}
				return printHistory(cmd.OutOrStdout(), s.Name(), list)
			})
		},
	}
	f.bind(c.Flags(), "store")
	c.Flags().IntVar(&limit, "limit", limit, "at most so many; 0: all")
	return teach(c, exits{exitOK: "printed, if only that there is none", exitFailed: "the store does not work", exitUsage: "usage or configuration"}, "policy rollback", "policy verify", "docs/publishing.md")
}

func printHistory(out io.Writer, store string, list []pastVersion) error {
	if len(list) == 0 {
		_, err := fmt.Fprintf(out, "nothing was ever published to %s\n", store)
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "VERSION\tHASH\tCREATED\tEXPIRES\tFILES\tSIGNATURES\t\n")
	for _, v := range list {
		note := v.Error
		switch {
		case note != "":
		case v.Present:
			note = "present"
		case v.Version.Number > list[0].Version.Number && list[0].Error == "":
			note = "never in place: above the present one"
		}
		fmt.Fprintf(w, "%d\t%.12s\t%s\t%s\t%d\t%d\t%s\n", v.Version.Number, v.Version.Hash, day(v.Created), day(v.Expires), v.Files, v.Signatures, note)
	}
	return w.Flush()
}

func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateTime)
}
