package main

import (
	"github.com/spf13/cobra"

	"github.com/sluiceproxy/sluice/bench/lab/peers"
	"github.com/sluiceproxy/sluice/bench/lab/peers/goshutdown"
)

// newGoShutdown is the peer that is built in: a replica is this program again.
func newGoShutdown() *cobra.Command {
	var cfg goshutdown.Config
	c := &cobra.Command{
		Use: peers.GoShutdownCommand, Hidden: true, Args: cobra.NoArgs,
		Short: "A Go reverse proxy that stops by http.Server.Shutdown",
		RunE:  func(cmd *cobra.Command, _ []string) error { return goshutdown.Run(cmd.Context(), cfg) },
	}
	f := c.Flags()
	f.StringVar(&cfg.Listen, "listen", "127.0.0.1:0", "")
	f.StringVar(&cfg.To, "to", "", "")
	f.StringVar(&cfg.Probes, "probes", "127.0.0.1:0", "")
	f.DurationVar(&cfg.Delay, "delay", 0, "")
	f.DurationVar(&cfg.Grace, "grace", 0, "")
	return c
}
