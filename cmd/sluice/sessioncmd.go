package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/authz/session"
)

func newSession() *cobra.Command {
	c := &cobra.Command{
		Use:   "session",
		Short: "End sessions of users, and make keys that seal them",
		Long: `A login is kept in a sealed cookie: whoever has the keys opens it, and no store is asked. To end it
before its time, a list says so, which all processes with the same sessions.revocations.file follow, and all replicas of a fleet.`,
		Example: `  sluice session revoke -c sluice.yaml --issuer https://id.example.com --user 248289761001
  sluice session keygen`,
	}
	runGroup(c)
	c.AddCommand(newSessionRevoke(), newSessionKeygen())
	return teach(c, exits{exitOK: "done", exitFailed: "not done, or not on disk", exitUsage: "usage or configuration"}, "status", "docs/sessions.md")
}

func newSessionRevoke() *cobra.Command {
	t := &target{}
	var user, issuer, id string
	var all bool
	c := &cobra.Command{
		Use:   "revoke --issuer URL --user SUBJECT | --session ID | --all",
		Short: "End sessions now, and the streams that are open by them",
		Long: `End all sessions of a user, one session, or those of everybody, in the proxy that is asked and in all that
share its list: on this machine or volume (sessions.revocations.file) within a quarter of a second, in the
fleet (sessions.revocations.fleet) as soon as etcd tells them; also those that drain. When it says so, that is
on disk, and in etcd. Who is meant may log in again: to keep somebody out, say so to the issuer, or in
the policy.
A user is named as the issuer does ("sub" of its tokens), which is not always what the policy calls user.`,
		Example: `  sluice session revoke -c sluice.yaml --issuer https://id.example.com --user 248289761001
  sluice session revoke -c sluice.yaml --session 2hMpOHHf0lnYzH5iCGmhTQ
  sluice session revoke -c sluice.yaml --all    # a key was stolen, or the list is damaged`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			what, err := whatToRevoke(user, issuer, id, all)
			if err != nil {
				return fail(exitUsage, err)
			}
			client, err := t.client()
			if err != nil {
				return fail(exitUsage, err)
			}
			done, err := client.Revoke(cmd.Context(), what)
			if err != nil {
				return fail(exitFailed, err)
			}
			if t.asJSON {
				return printJSON(cmd.OutOrStdout(), done)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "revoked; %d revocations are in force\n", done.Entries)
			return err
		},
	}
	t.bind(c.Flags())
	c.Flags().StringVar(&user, "user", "", "subject whose sessions end, as the issuer names it; with --issuer")
	c.Flags().StringVar(&issuer, "issuer", "", "issuer of that subject")
	c.Flags().StringVar(&id, "session", "", "ID of the one session that ends")
	c.Flags().BoolVar(&all, "all", false, "end the sessions of everybody")
	return teach(c, exits{exitOK: "ended, on disk, and in etcd where the fleet shares its list", exitFailed: "refused, no answer, or in force there and not on disk, or in etcd, yet", exitUsage: "usage or configuration"}, "session keygen", "status", "docs/sessions.md")
}

// whatToRevoke is what the flags say: one thing.
func whatToRevoke(user, issuer, id string, all bool) (session.Revocation, error) {
	var list []session.Revocation
	if user != "" || issuer != "" {
		list = append(list, session.Revocation{Kind: session.Sub, Issuer: issuer, Value: user})
	}
	if id != "" {
		list = append(list, session.Revocation{Kind: session.SID, Value: id})
	}
	if all {
		list = append(list, session.Revocation{Kind: session.All})
	}
	switch {
	case len(list) != 1:
		return session.Revocation{}, errors.New("say one of --user with --issuer, --session and --all")
	case (user == "") != (issuer == ""):
		return session.Revocation{}, errors.New("--user and --issuer belong together: subjects are names of an issuer")
	}
	return list[0], list[0].Check()
}

// keyLine is a fresh key.
type keyLine struct {
	Name string `json:"name"`
	Key  string `json:"key"` // 32 bytes in base64: a secret
}

func newSessionKeygen() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "keygen",
		Short: "Print a fresh key as a line of sessions.key_file",
		Long: `Print a fresh key as a line of sessions.key_file. Nothing is asked and nothing is written. To rotate without
losing a session, put it at the end of the file everywhere, then to the front, and take the old one out when
sessions.lifetime is over. The file is read again within seconds.`,
		Example: `  sluice session keygen > session.keys     # the first; then chmod 600 session.keys
  sluice session keygen >> session.keys    # the next: opens, and does not seal yet`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			line := session.NewKey()
			if asJSON {
				name, key, _ := strings.Cut(line, " ")
				return printJSON(cmd.OutOrStdout(), keyLine{name, key})
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), line)
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return teach(c, exits{exitOK: "printed", exitUsage: "usage"}, "session revoke", "docs/sessions.md")
}
