package main

import (
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sluiceproxy/sluice/config"
)

// options are the flags that say where the configuration comes from. Every scalar of
// the file is a flag as well.
type options struct {
	file    string
	listen  string
	to      string
	public  bool
	policy  string
	scalars map[string]*string // by path
}

// bind adds the flags. With quick, those of the quick start without a file too.
func (o *options) bind(c *cobra.Command, quick bool) {
	fs := c.Flags()
	fs.StringVarP(&o.file, "config", "c", os.Getenv("SLUICE_CONFIG"), "configuration file (YAML); also SLUICE_CONFIG")
	if quick {
		fs.StringVar(&o.listen, "listen", "", "listen for HTTP on this address, without a file: \":8080\"")
		fs.StringVar(&o.to, "to", "", "forward to this address, \"127.0.0.1:9000\"; in a policy it is the cluster \"default\"")
		fs.BoolVar(&o.public, "public", false, "with --to and no policy: allow every request of everybody")
		fs.StringVar(&o.policy, "policy", "", "directory of policy files (policy.dir)")
	}
	o.scalars = map[string]*string{}
	paths := config.Scalars()
	sort.Strings(paths)
	for _, path := range paths {
		name := strings.TrimPrefix(config.FlagName(path), "--")
		if fs.Lookup(name) != nil {
			continue
		}
		o.scalars[path] = fs.String(name, "", fmt.Sprintf("%s of the file; also %s", path, config.EnvName(path)))
		fs.Lookup(name).Annotations = map[string][]string{noteKey: {path}}
	}
}

// load reads everything and reports all faults at once.
func (o *options) load(fs *pflag.FlagSet) (*config.Config, error) {
	src, err := o.source(fs)
	if err != nil {
		return nil, err
	}
	return config.Load(src)
}

// source is all that the configuration is made of.
func (o *options) source(fs *pflag.FlagSet) (config.Source, error) {
	src := config.Source{Name: o.file, Env: environment(), Flags: map[string]string{}, Listen: o.listen, PolicyElsewhere: o.to != "" && o.policy == ""}
	if o.file != "" {
		text, err := os.ReadFile(o.file)
		if err != nil {
			return src, fmt.Errorf("read the configuration: %w", err)
		}
		src.Text = text
	}
	for path, v := range o.scalars {
		if fs.Changed(strings.TrimPrefix(config.FlagName(path), "--")) {
			src.Flags[path] = *v
		}
	}
	if o.policy != "" {
		src.Flags["policy.dir"] = o.policy
	}
	return src, nil
}

// environment is that of the process without the variable that only names the file.
func environment() (env []string) {
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "SLUICE_CONFIG=") {
			env = append(env, kv)
		}
	}
	return env
}

// check refuses combinations of the quick start that make no sense.
func (o *options) check() error {
	switch {
	case o.to != "" && !o.public && o.policy == "":
		return fmt.Errorf("--to needs to know who may: give --policy DIR, or --public to allow every request of everybody")
	case o.public && o.to == "":
		return fmt.Errorf("--public goes with --to")
	case o.public && o.policy != "":
		return fmt.Errorf("--public and --policy exclude each other")
	case o.to != "" && o.file == "" && o.listen == "":
		return fmt.Errorf("--to goes with --listen, or with a configuration file that has listeners")
	}
	return nil
}
