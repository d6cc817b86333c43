package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/authn"
	"github.com/sluiceproxy/sluice/authz/authn/basic"
	"github.com/sluiceproxy/sluice/authz/authn/jwt"
	"github.com/sluiceproxy/sluice/authz/authn/oidc"
	"github.com/sluiceproxy/sluice/authz/policy"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy"
)

func newPolicy() *cobra.Command {
	c := &cobra.Command{
		Use:   "policy",
		Short: "Check a policy, try it, compare it with another, and publish it",
		Long: `A policy is a directory of YAML files: clusters, routes, and rules that say who may. A proxy
reads it while it runs; these commands look at one where none runs, and publish one for all that read a store.`,
		Example: `  sluice policy check ./policy
  sluice policy test policy-tests.yaml
  sluice policy publish ./policy --to dir:/srv/policy --key publisher.key
  sluice policy explain --policy ./policy --host app.example.com --path /admin --user u-1 --groups eng`,
	}
	runGroup(c)
	var asJSON bool
	check := &cobra.Command{
		Use:   "check DIR|FILE...",
		Short: "Check policy files and report every fault with its place",
		Long: `Check policy files, or all *.yaml files of a directory, as one policy: every
fault with file, line and column. What it says about a configuration (listeners, authenticators,
profiles of TLS) is taken for true; "sluice validate" checks that too.`,
		Example: `  sluice policy check ./policy
  sluice policy check base.yaml team-a.yaml --json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			doc, err := readPolicy(args)
			if err == nil {
				err = compilePolicy(doc, nil)
			}
			if asJSON {
				var errs []error
				if err != nil {
					errs = append(errs, err)
				}
				return printFaults(cmd, errs)
			}
			if err != nil {
				return fail(exitUsage, err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "fine: %d clusters, %d routes, %d tcp routes\n", len(doc.Clusters), len(doc.Routes), len(doc.TCPRoutes))
			return err
		},
	}
	check.Flags().BoolVar(&asJSON, "json", false, "print the faults as JSON")
	c.AddCommand(teach(check, exits{exitOK: "fine", exitUsage: "faults, each printed with its place"}, "validate", "config fmt", "docs/policy.md"),
		newPolicyTest(), newPolicyExplain(), newPolicyDiff(),
		newPolicyKeygen(), newPolicyPublish(), newPolicyVerify(), newPolicyHistory(), newPolicyRollback())
	return teach(c, exits{exitOK: "done", exitUsage: "usage, or faults in a policy"}, "validate", "docs/policy.md", "docs/publishing.md")
}

// readPolicy reads files and directories as one policy.
func readPolicy(paths []string) (*policy.Document, error) {
	files, err := policyFiles(paths)
	if err != nil {
		return nil, err
	}
	return policy.ParseFiles(files)
}

// policyFiles reads files, and those of directories that are part of a policy.
func policyFiles(paths []string) (files []policy.File, err error) {
	for _, p := range paths {
		names := []string{p}
		if fi, err := os.Stat(p); err != nil {
			return nil, err
		} else if fi.IsDir() {
			if names, err = filepath.Glob(filepath.Join(p, "*.yaml")); err != nil {
				return nil, err
			}
			if len(names) == 0 {
				return nil, fmt.Errorf("%s has no *.yaml file", p)
			}
		}
		for _, name := range names {
			src, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			files = append(files, policy.File{Name: name, Src: src})
		}
	}
	return files, nil
}

// compilePolicy does what a start does with a policy.
func compilePolicy(doc *policy.Document, cfg *config.Config) error {
	return policyCore(doc, cfg).Apply(context.Background(), "check", doc)
}

// policyCore is a core that carries nothing. Without a configuration every authenticator there is
// counts as configured, and every TCP listener and profile as existing.
func policyCore(doc *policy.Document, cfg *config.Config) *proxy.Core {
	keys, certs, tokens := authn.NewAPIKeys(authn.APIKeyConfig{}), authn.NewClientCertificates(authn.FromURI), &jwt.Authenticator{}
	users := basic.New("")
	pc := proxy.Config{Authenticators: map[string]authz.Authenticator{keys.Name(): keys, certs.Name(): certs, tokens.Name(): tokens, users.Name(): users}}
	pc.UpstreamTLS = map[string]proxy.UpstreamTLS{}
	if cfg == nil || cfg.Log.Decisions != "" {
		pc.DecisionLog = noDecisions{}
	}
	for _, name := range providerNames(doc, cfg) {
		pc.Authenticators[name] = &oidc.Authenticator{}
	}
	if cfg != nil {
		for _, u := range cfg.UpstreamTLS {
			pc.UpstreamTLS[u.Name] = noFiles{}
		}
		pc.Sites = reservedSites(cfg)
		full := cfg.ProxyConfig()
		pc.Listeners, pc.DrainTimeout, pc.LameDuckMax = full.Listeners, full.DrainTimeout, full.LameDuckMax
		if cfg.Authenticate.APIKey.File == "" {
			delete(pc.Authenticators, keys.Name())
		}
		if len(cfg.Authenticate.JWT) == 0 {
			delete(pc.Authenticators, tokens.Name())
		}
		if cfg.Authenticate.Basic.File == "" {
			delete(pc.Authenticators, users.Name())
		}
		if !cfg.Authenticate.ClientCertificate.On() {
			delete(pc.Authenticators, certs.Name())
		}
	} else {
		for i := range doc.Clusters {
			if t := doc.Clusters[i].TLS; t != nil {
				pc.UpstreamTLS[t.Profile] = noFiles{}
			}
		}
		for i := range doc.TCPRoutes {
			pc.Listeners = append(pc.Listeners, proxy.ListenerConfig{Name: doc.TCPRoutes[i].Listener, Protocol: proxy.TCP})
		}
	}
	return proxy.NewCore(pc, drain.New(drain.Config{}), func(int, any) {})
}

// noDecisions stands for a log of decisions where none is made.
type noDecisions struct{}

func (noDecisions) WriteLines([]byte)    {}
func (noDecisions) TryLines([]byte) bool { return true }

// providerNames are those of the logins that the configuration has; without one, those that the policy names.
func providerNames(doc *policy.Document, cfg *config.Config) (names []string) {
	if cfg != nil {
		for _, in := range cfg.Authenticate.OIDC {
			names = append(names, providerName(in))
		}
		return names
	}
	for i := range doc.Routes {
		for _, name := range doc.Routes[i].Authenticate {
			if rest, ok := strings.CutPrefix(name, "oidc"); ok && (rest == "" || rest[0] == '/' && oidc.CheckName(rest[1:]) == nil) {
				names = append(names, name)
			}
		}
	}
	return names
}

func checkPolicyDir(dir string, cfg *config.Config) error {
	doc, err := readPolicy([]string{dir})
	if err != nil {
		return err
	}
	return compilePolicy(doc, cfg)
}
