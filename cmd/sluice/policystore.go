package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/authz/policysync"
	"github.com/sluiceproxy/sluice/config"
)

// storeTime is how long a command of policies talks to a store.
const storeTime = 2 * time.Minute

// storeFlags say which store a command works on, and whom it believes.
type storeFlags struct {
	file, where, keys string
	asJSON            bool
}

// bind adds the flags; name is that of the store's own.
func (f *storeFlags) bind(fs *pflag.FlagSet, name string) {
	fs.StringVarP(&f.file, "config", "c", os.Getenv("SLUICE_CONFIG"), "configuration file of the proxies: it names the store and the keys that they believe; also SLUICE_CONFIG")
	fs.StringVar(&f.where, name, "", "the store: dir:PATH, or etcd (the one of the configuration); default what the configuration says")
	fs.StringVar(&f.keys, "keys", "", "file of public keys that must have signed, one of them; default policy.keys_file")
	fs.BoolVar(&f.asJSON, "json", false, "print JSON")
}

// openedStore is a store with what there is to know around it.
type openedStore struct {
	policysync.Store
	trust *policysync.Trust // nil: nobody said whom to believe
	cfg   *config.Config    // nil: there is no file
	close func() error
}

// open opens the store. Nothing is sent yet.
func (f *storeFlags) open() (*openedStore, error) {
	s := &openedStore{close: func() error { return nil }}
	if f.file != "" {
		text, err := os.ReadFile(f.file)
		if err != nil {
			return nil, fmt.Errorf("read the configuration: %w", err)
		}
		if s.cfg, err = config.Load(config.Source{Name: f.file, Text: text, Env: environment()}); err != nil {
			return nil, err
		}
	}
	var err error
	if f.keys != "" {
		keys, err := readKeys(f.keys)
		if err != nil {
			return nil, err
		}
		if s.trust, err = policysync.NewTrust(keys, 1); err != nil {
			return nil, err
		}
	} else if s.cfg != nil {
		if s.trust, err = trustOf(s.cfg); err != nil {
			return nil, err
		}
	}
	where := f.where
	if where == "" {
		if where, err = storeOf(s.cfg); err != nil {
			return nil, err
		}
	}
	s.Store, s.close, err = openStore(where, s.cfg)
	return s, err
}

// storeOf is the store of a configuration, as a word.
func storeOf(cfg *config.Config) (string, error) {
	switch {
	case cfg == nil:
		return "", errors.New("say which store, dir:PATH or etcd, or give the configuration of the proxies with --config")
	case cfg.Policy.Source == "etcd":
		return "etcd", nil
	case cfg.Policy.Layout == "objects":
		return "dir:" + cfg.Policy.Dir, nil
	}
	return "", errors.New("the policy of this configuration is a plain directory, which nobody publishes to: policy.layout is not objects")
}

// openStore opens the store that a word names. A further kind of store gets its word here.
func openStore(word string, cfg *config.Config) (s policysync.Store, closeIt func() error, err error) {
	if path, ok := strings.CutPrefix(word, "dir:"); ok && path != "" {
		return policysync.NewDirStore(path), func() error { return nil }, nil
	}
	if word != "etcd" {
		return nil, nil, fmt.Errorf("%q is no store: dir:PATH or etcd", word)
	}
	if cfg == nil || !cfg.Etcd.On() {
		return nil, nil, errors.New("etcd needs --config FILE with the block etcd: where it is, and how to log in")
	}
	store, err := mustShared(cfg)
	if err != nil {
		return nil, nil, err
	}
	return store.Policies(), store.Close, nil
}

// use opens the store, has it used, and closes it.
func (f *storeFlags) use(ctx context.Context, do func(context.Context, *openedStore) error) error {
	s, err := f.open()
	if err != nil {
		return fail(exitUsage, err)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	return errors.Join(do(ctx, s), s.close())
}

// check parses and compiles files as a proxy of the configuration would.
func (s *openedStore) check(files []policy.File) (*policy.Document, error) {
	doc, err := policy.ParseFiles(files)
	if err == nil {
		err = compilePolicy(doc, s.cfg)
	}
	return doc, err
}
