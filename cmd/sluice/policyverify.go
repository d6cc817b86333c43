package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/authz/policysync"
)

// verified is what a proxy that starts now would say to the head of a store.
type verified struct {
	OK    bool        `json:"ok"`
	Store string      `json:"store"`
	Keys  int         `json:"keys"` // by how many it was judged; 0: signatures were not looked at
	Head  pastVersion `json:"head"`
}

func newPolicyVerify() *cobra.Command {
	f := &storeFlags{}
	c := &cobra.Command{
		Use:   "verify",
		Short: "Check the version of a store as a proxy that starts would",
		Long: `Read the head of a store, verify its signatures by the keys of the configuration or of --keys, fetch every
file and verify its hash, and parse and compile them all. Without keys signatures are not looked at, and
the output says so. Which version a running proxy has in force is for "sluice status".`,
		Example: `  sluice policy verify -c sluice.yaml
  sluice policy verify --store dir:/srv/policy --keys publishers.pub`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.use(cmd.Context(), func(ctx context.Context, s *openedStore) error {
				v, err := s.verify(ctx)
				if err != nil {
					return fail(exitFailed, err)
				}
				if f.asJSON {
					err = printJSON(cmd.OutOrStdout(), v)
				} else if v.OK {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "fine: version %s of %s, %d files, %d signatures, %s\n", v.Head.Version, v.Store, v.Head.Files, v.Head.Signatures, judgedBy(v.Keys))
				} else {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "refused [%s]: %s\n", v.Head.Reason, v.Head.Error)
				}
				if err == nil && !v.OK {
					return fail(exitFailed, nil)
				}
				return err
			})
		},
	}
	f.bind(c.Flags(), "store")
	return teach(c, exits{exitOK: "a proxy would take it", exitFailed: "it would refuse it, or there is none, or the store does not work", exitUsage: "usage or configuration"}, "policy history", "status", "docs/publishing.md")
}

func judgedBy(keys int) string {
	if keys == 0 {
		return "not verified: there are no keys"
	}
	return fmt.Sprintf("verified by %d keys", keys)
}

// verify judges the head. An error is one of the store, not of what is in it.
func (s *openedStore) verify(ctx context.Context) (verified, error) {
	raw, err := s.RawHead(ctx)
	if err != nil && !errors.Is(err, policysync.ErrTooLarge) {
		return verified{}, err
	}
	v := verified{Store: s.Name()}
	v.Keys, _ = s.trust.Keys()
	refuse := func(r policysync.Reason, err error) (verified, error) {
		v.Head.Reason, v.Head.Error = string(r), err.Error()
		return v, nil
	}
	if err != nil {
		return refuse(policysync.Oversized, err)
	}
	v.Head = pastOf(raw, s.trust)
	v.Head.Present = true
	if v.Head.Error != "" {
		return v, nil
	}
	if at := v.Head.Expires; !at.IsZero() && !time.Now().Before(at) {
		return refuse(policysync.Expired, fmt.Errorf("version %s expired at %s; publish a new one", v.Head.Version, at.Format(time.RFC3339)))
	}
	h, err := policysync.OpenHead(raw, s.trust)
	if err != nil {
		return v, err // it opened a moment ago
	}
	files, err := policysync.Fetch(ctx, policysync.FromStore(s.Store, s.trust), h)
	var r *policysync.Refusal
	switch {
	case errors.As(err, &r):
		return refuse(r.Reason, r)
	case err != nil:
		return v, err
	}
	if _, err := s.check(files); err != nil {
		return refuse(policysync.Unreadable, err)
	}
	v.OK = true
	return v, nil
}
