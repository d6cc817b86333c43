package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/health"
	"github.com/sluiceproxy/sluice/health/cliprobe"
)

// newHealth is for ECS, Docker and exec probes: it needs no shell.
func newHealth() *cobra.Command {
	var ready, live, startup, asJSON bool
	var file, addr string
	o := cliprobe.Options{}
	c := &cobra.Command{
		Use:   "health",
		Short: "Ask a running proxy whether it is ready, live or started",
		Long: `Ask the probes listener of a running proxy. The address comes from the same
configuration, environment (SLUICE_PROBES_ADDRESS) or flag as the proxy's. It is for health
checks of ECS, Docker and exec probes: no shell and no curl is needed.`,
		Example: `  sluice health                     # ready?
  sluice health --live              # for a container health check that restarts
  sluice health --ready --wait 30s  # until it is`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (ready && live) || (ready && startup) || (live && startup) {
				return fail(exitFailed, fmt.Errorf("sluice: --ready, --live and --startup exclude each other"))
			}
			o.Probe = health.Ready
			switch {
			case live:
				o.Probe = health.Live
			case startup:
				o.Probe = health.Startup
			}
			o.JSON = asJSON
			o.Address = addr
			if addr == "" {
				a, err := probesAddress(file)
				if err != nil {
					return fail(exitFailed, err)
				}
				o.Address = a
			}
			if code := cliprobe.Check(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr()); code != 0 {
				return fail(exitFailed, nil)
			}
			return nil
		},
	}
	f := c.Flags()
	f.BoolVar(&ready, "ready", false, "should balancers send? (the default)")
	f.BoolVar(&live, "live", false, "should a supervisor leave it alone?")
	f.BoolVar(&startup, "startup", false, "has it ever been ready?")
	f.StringArrayVarP(&o.Exclude, "exclude", "e", nil, "leave this check out (repeatable)")
	f.DurationVar(&o.Wait, "wait", 0, "ask again for so long until the answer is yes")
	f.DurationVar(&o.Timeout, "timeout", 3*time.Second, "of one attempt")
	f.BoolVar(&asJSON, "json", false, "print the verdict as JSON")
	f.StringVarP(&file, "config", "c", os.Getenv("SLUICE_CONFIG"), "configuration file of the proxy; also SLUICE_CONFIG")
	f.StringVar(&addr, "probes-address", "", "address of the probes listener (probes.address)")
	return teach(c, exits{exitOK: "yes", exitFailed: "no, no answer, or usage: Docker reserves 2"}, "status", "docs/operations.md")
}

// probesAddress finds the address as the proxy does. A fault elsewhere is no reason not
// to answer: the file may have been edited since the proxy started, and a health check
// that fails for that would restart a process that serves.
func probesAddress(file string) (string, error) {
	if v := os.Getenv(config.EnvName("probes.address")); v != "" {
		return v, nil
	}
	if file == "" {
		return config.Default().Probes.Address, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the configuration: %w", err)
	}
	return config.ProbesAddress(file, text)
}
