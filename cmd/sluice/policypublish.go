package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"aead.dev/minisign"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/authz/policysync"
)

// publishFlags are those of what makes a new version.
type publishFlags struct {
	storeFlags
	keyFiles []string
	password string
	expires  time.Duration
	minProxy string
	number   uint64
	unsigned bool
}

func (f *publishFlags) bind(fs *pflag.FlagSet, store string) {
	f.storeFlags.bind(fs, store)
	fs.StringArrayVar(&f.keyFiles, "key", nil, "secret key that signs, of sluice policy keygen or minisign; may be given more than once")
	fs.StringVar(&f.password, "password-file", "", "file with the password of the keys, if they have one")
	fs.DurationVar(&f.expires, "expires", 0, "how long it may be applied; 0: for ever")
	fs.StringVar(&f.minProxy, "min-proxy", "", "oldest proxy that may apply it, such as 0.9")
	fs.BoolVar(&f.unsigned, "unsigned", false, "publish without a signature though the present version has one")
	fs.Uint64Var(&f.number, "number", 0, "its number; 0: one more than the present one")
}

// believe makes the keys that sign those that must have signed, where nobody said whom to believe: what somebody else wrote
// into the store is not to get our signature by a rollback, and not to choose our number.
func (f *publishFlags) believe(s *openedStore) error {
	if s.trust != nil || len(f.keyFiles) == 0 {
		return nil
	}
	secret, err := f.secrets()
	if err != nil {
		return err
	}
	var keys []minisign.PublicKey
	for _, k := range secret {
		if public, ok := k.Public().(minisign.PublicKey); ok {
			keys = append(keys, public)
		}
	}
	s.trust, err = policysync.NewTrust(keys, 1)
	return err
}

// keeps refuses to put a version in the place of one that was better protected, unless that is asked for: without a signature (proxies
// that have keys would refuse it, and whoever forgot the key most likely forgot to name the configuration that says so, too), or
// without an end, so that somebody could keep proxies on it for ever. expires is whether somebody has said when it ends.
func (f *publishFlags) keeps(ctx context.Context, s *openedStore, expires bool) error {
	raw, err := s.RawHead(ctx)
	if err != nil {
		return nil // Publish says what is wrong
	}
	signed := f.unsigned || len(f.keyFiles) > 0 || s.trust != nil // with keys, what they did not sign is refused anyway
	if _, signatures, err := policysync.SplitHead(raw); err == nil && len(signatures) > 0 && !signed {
		return errors.New("not published: the present version is signed, and this one would not be: give --key, or --unsigned if no proxy has keys")
	}
	if h, err := policysync.OpenHead(raw, s.trust); err == nil && !h.Expires.IsZero() && !expires {
		return errors.New("not published: the present version expires, and this one would not: say with --expires how long it may be applied; 0s: for ever")
	}
	return nil
}

// secrets reads the keys that sign.
func (f *publishFlags) secrets() (keys []minisign.PrivateKey, err error) {
	password := ""
	if f.password != "" {
		text, err := os.ReadFile(f.password)
		if err != nil {
			return nil, err
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	for _, name := range f.keyFiles {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		var key minisign.PrivateKey
		if minisign.IsEncrypted(text) {
			key, err = minisign.DecryptKey(password, text)
		} else {
			err = key.UnmarshalText(text)
		}
		if err != nil {
			return nil, fmt.Errorf("%s is no secret key of minisign, or its password is another (--password-file): %w", name, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// publication is what the flags say of the next version.
func (f *publishFlags) publication(files []policy.File) (policysync.Publication, error) {
	p := policysync.Publication{Files: files, Created: time.Now().Truncate(time.Second), MinProxy: f.minProxy, Number: f.number}
	if f.expires < 0 {
		return p, errors.New("--expires is in the past")
	}
	if f.expires > 0 {
		p.Expires = p.Created.Add(f.expires)
	}
	keys, err := f.secrets()
	p.Keys = keys
	return p, err
}

// published is a version that was published, and what it changes.
type published struct {
	Version policysync.Version `json:"version"`
	Store   string             `json:"store"`
	Before  uint64             `json:"before,omitempty"` // the number of the version that it replaced
	Of      uint64             `json:"of,omitempty"`     // of a rollback: whose content it has
	Created time.Time          `json:"created"`
	Expires time.Time          `json:"expires,omitzero"`
	Signed  int                `json:"signatures"`
	Files   int                `json:"files"`
	fileChanges
}

func newPolicyPublish() *cobra.Command {
	f := &publishFlags{}
	c := &cobra.Command{
		Use:   "publish DIR",
		Short: "Check a policy, sign it, and make it the version of a store",
		Long: `Check the *.yaml files of a directory as one policy, put them into a store, and make them its next version
in one step, unless somebody else has published meanwhile. Proxies that read the store follow within
moments. With --key the version is signed; proxies whose configuration has policy.keys_file take nothing else. With
--expires it is not applied any more from then on, so that nobody can hold proxies back on it: publish again in time.`,
		Example: `  sluice policy publish ./policy --to dir:/srv/policy
  sluice policy publish ./policy --to etcd -c sluice.yaml --key publisher.key --expires 720h`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.use(cmd.Context(), func(ctx context.Context, s *openedStore) error {
				if err := f.believe(s); err != nil {
					return fail(exitUsage, err)
				}
				files, err := filesOf(ctx, args[0])
				if err != nil {
					return fail(exitUsage, err)
				}
				p, err := f.publication(files)
				if err != nil {
					return fail(exitUsage, err)
				}
				if err := f.keeps(ctx, s, cmd.Flags().Changed("expires")); err != nil {
					return fail(exitUsage, err)
				}
				return publishTo(ctx, cmd.OutOrStdout(), s, p, 0, f.asJSON)
			})
		},
	}
	f.bind(c.Flags(), "to")
	return teach(c, publishExits(), "policy verify", "policy history", "policy rollback", "policy keygen", "docs/publishing.md")
}

func publishExits() exits {
	return exits{exitOK: "published", exitFailed: "the store does not work; \"sluice policy verify\" says what is there", exitUsage: "usage, a fault in the policy, or what the proxies would refuse: nothing was published",
		exitConflict: "somebody else has published meanwhile: look at what, and publish again"}
}

// filesOf reads a plain directory as a proxy would.
func filesOf(ctx context.Context, dir string) ([]policy.File, error) {
	source := policysync.NewDir(dir, policysync.Plain)
	h, err := source.Head(ctx)
	if err != nil {
		return nil, err
	}
	return policysync.Fetch(ctx, source, h)
}

// publishTo checks a publication, publishes it and says what it changes. of is the version whose
// content it has, if it is a rollback.
func publishTo(ctx context.Context, out io.Writer, s *openedStore, p policysync.Publication, of uint64, asJSON bool) error {
	if _, err := s.check(p.Files); err != nil {
		return fail(exitUsage, err)
	}
	h, before, err := policysync.Publish(ctx, s.Store, s.trust, p)
	var refused *policysync.Refusal
	switch {
	case errors.Is(err, policysync.ErrConflict):
		return fail(exitConflict, fmt.Errorf("not published: %w", err))
	case errors.As(err, &refused), errors.Is(err, policysync.ErrTooLarge), errors.Is(err, policysync.ErrNumber):
		return fail(exitUsage, fmt.Errorf("not published: %w", err))
	case err != nil:
		return fail(exitFailed, err)
	}
	r := published{Version: h.Version, Store: s.Name(), Before: before.Version.Number, Of: of, Created: h.Created, Expires: h.Expires, Signed: len(p.Keys), Files: len(h.Objects)}
	r.fileChanges = compareFiles(hashes(before), hashes(h))
	if asJSON {
		return printJSON(out, r)
	}
	return r.print(out)
}

// fileChanges says which files of two versions differ, by name.
type fileChanges struct {
	Added   []string `json:"added"`
	Changed []string `json:"changed"`
	Removed []string `json:"removed"`
}

// compareFiles takes what stands for the content of each file: a hash, or the text.
func compareFiles(before, after map[string]string) fileChanges {
	c := fileChanges{[]string{}, []string{}, []string{}}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		switch old, there := before[name]; {
		case !there:
			c.Added = append(c.Added, name)
		case old != after[name]:
			c.Changed = append(c.Changed, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, stays := after[name]; !stays {
			c.Removed = append(c.Removed, name)
		}
	}
	return c
}

// same reports whether a file does not differ.
func (c fileChanges) same(name string) bool {
	return !slices.Contains(c.Added, name) && !slices.Contains(c.Changed, name) && !slices.Contains(c.Removed, name)
}

// none reports whether nothing differs.
func (c fileChanges) none() bool { return len(c.Added)+len(c.Changed)+len(c.Removed) == 0 }

func hashes(h policysync.Head) map[string]string {
	m := map[string]string{}
	for _, o := range h.Objects {
		m[o.Name] = o.Hash
	}
	return m
}

func (r *published) print(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "published version %s to %s: %d files, %d signatures", r.Version, r.Store, r.Files, r.Signed)
	if r.Of != 0 {
		fmt.Fprintf(&b, ", with the content of version %d", r.Of)
	}
	if !r.Expires.IsZero() {
		fmt.Fprintf(&b, ", until %s", r.Expires.Format(time.RFC3339))
	}
	b.WriteByte('\n')
	for _, some := range []struct {
		mark  string
		names []string
	}{{"+", r.Added}, {"~", r.Changed}, {"-", r.Removed}} {
		for _, name := range some.names {
			fmt.Fprintf(&b, "  %s %s\n", some.mark, name)
		}
	}
	if r.none() && r.Before != 0 {
		fmt.Fprintf(&b, "  no file differs from version %d\n", r.Before)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func newPolicyRollback() *cobra.Command {
	f := &publishFlags{}
	c := &cobra.Command{
		Use:   "rollback VERSION",
		Short: "Publish the content of an earlier version under a new number",
		Long: `Publish the files of an earlier version of the store again, under a new number: proxies never go back to an
old number, since somebody who replays one looks the same. The files are checked as "sluice policy publish" does, and
what --key, --expires and --min-proxy say is of the new version; without --min-proxy it stays what it was.`,
		Example: `  sluice policy history --store dir:/srv/policy
  sluice policy rollback 41 --store dir:/srv/policy --key publisher.key`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil {
				return fail(exitUsage, fmt.Errorf("%q is no number of a version", args[0]))
			}
			return f.use(cmd.Context(), func(ctx context.Context, s *openedStore) error {
				if err := f.believe(s); err != nil {
					return fail(exitUsage, err)
				}
				h, err := policysync.Past(ctx, s.Store, s.trust, number)
				if err != nil {
					return fail(exitFailed, err)
				}
				files, err := policysync.Fetch(ctx, policysync.FromStore(s.Store, s.trust), h)
				if err != nil {
					return fail(exitFailed, err)
				}
				p, err := f.publication(files)
				if err != nil {
					return fail(exitUsage, err)
				}
				if p.MinProxy == "" {
					p.MinProxy = h.MinProxy
				}
				if err := f.keeps(ctx, s, cmd.Flags().Changed("expires")); err != nil {
					return fail(exitUsage, err)
				}
				return publishTo(ctx, cmd.OutOrStdout(), s, p, number, f.asJSON)
			})
		},
	}
	f.bind(c.Flags(), "store")
	return teach(c, publishExits(), "policy history", "policy publish", "docs/publishing.md")
}
