package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"aead.dev/minisign"
	"github.com/spf13/cobra"
)

// keyPair is where a fresh pair of keys is.
type keyPair struct {
	Secret string `json:"secret_file"`
	Public string `json:"public_file"`
	Key    string `json:"public_key"` // a line of policy.keys_file
}

func newPolicyKeygen() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "keygen FILE",
		Short: "Make a pair of keys that signs policies",
		Long: `Make a pair of keys in minisign's format: the secret one in FILE, for who publishes and for nobody else, and the
public one in FILE.pub, whose last line belongs into the file policy.keys_file of the proxies. No file is ever
overwritten. The secret key has no password: keep it where your pipeline keeps its secrets. Keys that minisign
made, with a password or without, do as well.`,
		Example: `  sluice policy keygen publisher.key
  sluice policy publish ./policy --to dir:/srv/policy --key publisher.key`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := makeKeys(args[0])
			if errors.Is(err, fs.ErrExist) {
				return fail(exitUsage, fmt.Errorf("nothing was made: %w", err))
			}
			if err != nil {
				return fail(exitFailed, err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), p)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "secret key: %s\npublic key: %s\n%s\n", p.Secret, p.Public, p.Key)
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return teach(c, exits{exitOK: "made", exitFailed: "it could not be written", exitUsage: "usage, or a file is there already"}, "policy publish", "docs/publishing.md")
}

// makeKeys writes a fresh pair, the secret key first, and leaves neither if one cannot be written.
func makeKeys(name string) (keyPair, error) {
	public, secret, err := minisign.GenerateKey(nil)
	if err != nil {
		return keyPair{}, err
	}
	secretText, err := secret.MarshalText()
	if err != nil {
		return keyPair{}, err
	}
	publicText, err := public.MarshalText()
	if err != nil {
		return keyPair{}, err
	}
	p := keyPair{Secret: name, Public: name + ".pub", Key: public.String()}
	if _, err := os.Lstat(p.Public); err == nil {
		return keyPair{}, &fs.PathError{Op: "create", Path: p.Public, Err: fs.ErrExist}
	}
	if err := writeNew(p.Secret, append(secretText, '\n'), 0o600); err != nil {
		return keyPair{}, err
	}
	if err := writeNew(p.Public, append(publicText, '\n'), 0o644); err != nil {
		return keyPair{}, errors.Join(err, os.Remove(p.Secret))
	}
	return p, nil
}

// writeNew writes a file that must not be there yet.
func writeNew(name string, text []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}
