package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/authz/assertion"
	"github.com/sluiceproxy/sluice/authz/authn"
	"github.com/sluiceproxy/sluice/authz/authn/basic"
	"github.com/sluiceproxy/sluice/authz/authn/issuer"
	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/proxy/edgetls"
)

// newValidate checks everything that a start would: configuration, policy, keys, certificates.
func newValidate() *cobra.Command {
	o := &options{}
	var asJSON bool
	c := &cobra.Command{
		Use:   "validate",
		Short: "Check configuration, policy, keys and certificates without starting anything",
		Long: `Check the configuration, the policy, the key file and the certificates that it names, and report
every fault with file, line and column. Run it before a start, a reload and a rollout, and in CI.
It needs what a start needs: the files that are named, but no port.`,
		Example: `  sluice validate -c sluice.yaml
  sluice validate -c sluice.yaml --json | jq '.faults[]'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.file == "" {
				return errors.New("validate needs --config FILE")
			}
			cfg, err := o.load(cmd.Flags())
			var errs []error
			if err != nil {
				errs = append(errs, err)
			} else {
				errs = validateRest(cfg)
			}
			if asJSON {
				return printFaults(cmd, errs)
			}
			if len(errs) > 0 {
				return fail(exitUsage, errors.Join(errs...))
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: fine\n", o.file)
			return err
		},
	}
	o.bind(c, false)
	c.Flags().BoolVar(&asJSON, "json", false, "print the faults as JSON")
	return teach(c, exits{exitOK: "fine", exitUsage: "faults, each printed with its place"}, "policy check", "config show", "doctor", "docs/config.md")
}

// validateRest checks what the configuration points at.
func validateRest(cfg *config.Config) (errs []error) {
	if name := cfg.Authenticate.APIKey.File; name != "" {
		if err := authn.CheckFile(name); err != nil {
			errs = append(errs, err)
		}
	}
	if name := cfg.Authenticate.Basic.File; name != "" {
		if err := basic.CheckFile(name); err != nil {
			errs = append(errs, err)
		}
	}
	if name := cfg.Assertion.KeyFile; name != "" {
		if err := assertion.CheckFile(name); err != nil {
			errs = append(errs, err)
		}
	}
	if _, err := trustOf(cfg); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, checkProviders(cfg)...)
	if err := checkSessionKeys(cfg); err != nil {
		errs = append(errs, err)
	}
	for i, in := range cfg.Authenticate.JWT {
		if in.JWKSFile == "" {
			continue
		}
		if err := issuer.CheckFile(in.JWKSFile); err != nil {
			errs = append(errs, fmt.Errorf("authenticate.jwt[%d].jwks_file: %w", i, err))
		}
	}
	for i, ln := range cfg.Listeners {
		if ln.TLS.On() {
			if _, err := edgetls.New(edgeConfig(ln)); err != nil {
				errs = append(errs, fmt.Errorf("listeners[%d].tls: %w", i, err))
			}
		}
	}
	for i, u := range cfg.UpstreamTLS {
		if _, err := edgetls.NewOutgoing(outgoingConfig(u)); err != nil {
			errs = append(errs, fmt.Errorf("upstream_tls[%d]: %w", i, err))
		}
	}
	if err := checkShared(cfg); err != nil {
		errs = append(errs, err)
	}
	if cfg.Policy.Source == "directory" && cfg.Policy.Dir != "" && cfg.Policy.Layout == "plain" {
		if _, err := os.Stat(cfg.Policy.Dir); err != nil {
			return append(errs, fmt.Errorf("policy.dir: %w", err))
		}
		if err := checkPolicyDir(cfg.Policy.Dir, cfg); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// faultReport is what is wrong, for tools.
type faultReport struct {
	OK     bool  `json:"ok"`
	Faults []any `json:"faults"` // of files, all that one file or policy has; and errors without a place
}

// printFaults prints errors that can be JSON as such, and the others as text.
func printFaults(cmd *cobra.Command, errs []error) error {
	out := faultReport{OK: len(errs) == 0, Faults: []any{}}
	for _, err := range errs {
		var m json.Marshaler
		if errors.As(err, &m) {
			out.Faults = append(out.Faults, m)
		} else {
			out.Faults = append(out.Faults, map[string]string{"message": strings.TrimSpace(err.Error())})
		}
	}
	if err := printJSON(cmd.OutOrStdout(), out); err != nil {
		return err
	}
	if !out.OK {
		return fail(exitUsage, nil)
	}
	return nil
}
