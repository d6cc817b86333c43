package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/internal/yaml"
)

// fmtFlags are the flags of `sluice config fmt`.
type fmtFlags struct{ write, check bool }

func newConfigFmt() *cobra.Command {
	f := &fmtFlags{}
	c := &cobra.Command{
		Use:   "fmt [FILE...]",
		Short: "Lay out configuration, policy and key files in one way",
		Long: `Lay out files in one way: two columns for each level, one space between words, no more than one
empty line together. Order, quotes and comments stay, and so does what the file says: that is read again
and compared, and a file that could not be laid out without a change is left alone, with the reason. Without
a FILE, or with -, the standard input is laid out. Run it before a commit, and with --check in CI.`,
		Example: `  sluice config fmt sluice.yaml              # print it
  sluice config fmt --write sluice.yaml policy/*.yaml
  sluice config fmt --check sluice.yaml policy/*.yaml`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 && !f.write && !f.check {
				return errors.New("several files need --write or --check")
			}
			if len(args) == 0 {
				args = []string{"-"}
			}
			return f.run(cmd, args)
		},
	}
	c.Flags().BoolVarP(&f.write, "write", "w", false, "write the files that change, and print their names")
	c.Flags().BoolVar(&f.check, "check", false, "write nothing, print the names of files that would change, and exit with 1 if there are some")
	c.MarkFlagsMutuallyExclusive("write", "check")
	return teach(c, exits{exitOK: "laid out", exitFailed: "with --check: a file would change", exitUsage: "a file is not readable, or cannot be laid out; every fault is printed"},
		"validate", "policy check", "docs/config.md")
}

// run lays out every file before it speaks of any, so that one with a fault leaves all as they are.
func (f *fmtFlags) run(cmd *cobra.Command, names []string) error {
	var errs []error
	before, after := make([][]byte, len(names)), make([][]byte, len(names))
	for i, name := range names {
		text, err := readToFormat(name, cmd.InOrStdin())
		if err == nil {
			shown := name
			if name == "-" {
				shown = standardInput
			}
			before[i] = text
			after[i], err = yaml.Format(shown, text, yaml.Limits{Size: policy.MaxSize, Values: 16_000_000})
		}
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fail(exitUsage, err)
	}
	out, changed := cmd.OutOrStdout(), false
	for i, name := range names {
		switch same := bytes.Equal(before[i], after[i]); {
		case !f.write && !f.check || f.write && name == "-":
			if _, err := out.Write(after[i]); err != nil {
				return err
			}
		case same:
		default:
			changed = true
			if f.write {
				if err := replace(name, after[i]); err != nil {
					return fail(exitUsage, fmt.Errorf("write %s: %w", name, err))
				}
			}
			if _, err := fmt.Fprintln(out, name); err != nil {
				return err
			}
		}
	}
	if changed && f.check {
		return fail(exitFailed, nil)
	}
	return nil
}

func readToFormat(name string, stdin io.Reader) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(stdin, policy.MaxSize+1)) // one more than is taken
	}
	return os.ReadFile(name)
}

// replace writes a file in one step: who watches it sees the old or the new, never a part, which
// could be a policy that lacks a rule. Mode and owner stay.
func replace(name string, text []byte) (err error) {
	if name, err = filepath.EvalSymlinks(name); err != nil {
		return err
	}
	info, err := os.Stat(name)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp.Name()) // the error that counts is the first
		}
	}()
	_, err = tmp.Write(text)
	if err == nil {
		err = keepOwner(tmp, info)
	}
	if err == nil {
		err = tmp.Chmod(info.Mode().Perm())
	}
	if err == nil {
		err = tmp.Sync()
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	return err
}
