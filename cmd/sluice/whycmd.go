package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/admin"
	"github.com/sluiceproxy/sluice/authz/casebook"
)

// answerWhy is why a request was refused, as JSON has it.
type answerWhy struct {
	Request admin.Refusal `json:"request"`
	// Now is what the policy in the files says of it; nil: no files were found.
	Now *explanation `json:"now,omitempty"`
	// Changed: the files say otherwise than the proxy did.
	Changed bool `json:"changed"`
}

func newWhy() *cobra.Command {
	t := &target{}
	var paths []string
	c := &cobra.Command{
		Use:   "why REQUEST-ID",
		Short: "Say why a running proxy refused a request",
		Long: `Ask a running proxy for a request that its routes or rules refused (401, 403, 404, 405), by the ID in the
answer (X-Request-ID) and in the access log; then explain it by the policy in the files: what each
criterion saw, and which rule would have allowed it with the least difference.
The last 512 refusals of each event loop are kept, without their query.`,
		Example: `  sluice why 1188878ca01d066aa372d5f546e6af2e -c sluice.yaml`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := t.client()
			if err != nil {
				return fail(exitUsage, err)
			}
			r, err := client.Refusal(cmd.Context(), args[0], true)
			if err != nil {
				return fail(exitFailed, err)
			}
			if len(paths) == 0 {
				if paths, err = t.policyFiles(); err != nil {
					return fail(exitUsage, err)
				}
			}
			a := &answerWhy{Request: r}
			var text strings.Builder
			fmt.Fprintf(&text, "%s %s%s from %s at %s: %d %s\n", r.Method, r.Host, r.Path, r.SourceIP, r.Time.Format(time.RFC3339), r.Status, r.Reason)
			fmt.Fprintln(&text, "  "+whose(&r))
			if len(paths) > 0 {
				if err := a.explain(paths, &text); err != nil {
					return fail(exitUsage, err)
				}
			} else {
				fmt.Fprintln(&text, "  name the policy by --policy to see its rules")
			}
			if t.asJSON {
				return printJSON(cmd.OutOrStdout(), a)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), visible(text.String()))
			return err
		},
	}
	t.bind(c.Flags())
	c.Flags().StringSliceVar(&paths, "policy", nil, "directory or files of the policy; else that of the configuration")
	return teach(c, exits{exitOK: "explained", exitFailed: "not known, or no answer", exitUsage: "a fault"}, "policy explain", "explain", "docs/policy.md")
}

func whose(r *admin.Refusal) string {
	who := "nobody was known"
	if id := r.Identity; id != nil {
		who = fmt.Sprintf("user %s by %s, groups %v", id.User, id.Method, id.Groups)
	}
	where := "no route"
	if r.Route != "" {
		where = "route " + r.Route
	}
	return who + "; " + where + ", policy " + r.Policy
}

// policyFiles are those of the configuration, if they can be read as they are.
func (t *target) policyFiles() ([]string, error) {
	if t.file == "" {
		return nil, nil
	}
	cfg, err := (&options{file: t.file}).load(nil)
	if err != nil {
		return nil, err
	}
	if cfg.Policy.Source != "directory" || cfg.Policy.Dir == "" || cfg.Policy.Layout != "plain" {
		return nil, nil
	}
	return []string{cfg.Policy.Dir}, nil
}

// explain judges the request again by the files.
func (a *answerWhy) explain(paths []string, text *strings.Builder) error {
	j, err := newJudge(paths)
	if err != nil {
		return err
	}
	r := &a.Request
	c := &casebook.Case{Request: casebook.Request{Method: r.Method, Host: r.Host, Path: r.Path, Time: r.Time, Preflight: r.Preflight}}
	if c.Request.SourceIP, err = netip.ParseAddr(r.SourceIP); err != nil {
		return errors.New("the proxy did not say where the request came from")
	}
	if id := r.Identity; id != nil {
		c.Identity = &casebook.Identity{User: id.User, Email: id.Email, Groups: id.Groups, Claims: id.Claims}
	}
	if crt := r.Certificate; crt != nil {
		c.Certificate = &casebook.Certificate{Fingerprint: crt.Fingerprint, SPKIHash: crt.SPKIHash, URIs: crt.URIs, DNSNames: crt.DNSNames, Emails: crt.Emails}
	}
	v, got := j.of(c, r.Time)
	t := j.trace(c, &got)
	a.Now = explainDecision(v, t)
	credential := r.Reason == "credential_invalid" // before rules were asked
	a.Changed = !credential && (v.Reason != r.Reason || v.Status != r.Status)
	switch {
	case credential:
		fmt.Fprintln(text, "  the credential was not valid; without one the policy says:")
	case a.Changed:
		fmt.Fprintln(text, "  the policy in the files says otherwise:")
	default:
		fmt.Fprintln(text, "  the policy in the files says the same:")
	}
	if r.Truncated {
		fmt.Fprintln(text, "  (the path was longer than what is kept)")
	}
	if j.looksAtQuery(v.Route) {
		fmt.Fprintln(text, "  (its query is not kept: an expression that looks at it has seen none here)")
	}
	return printExplanation(text, v, t)
}
