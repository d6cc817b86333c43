package main

import (
	"fmt"
	"log/slog"

	"github.com/sluiceproxy/sluice/config"
)

// reserveDescriptors are for what is not a connection pair: listeners, probes, the admin
// listener, logs, policy files.
const reserveDescriptors = 64

// fitDescriptors keeps limits.max_connections within what the process may open, two
// descriptors for each connection: otherwise accepts fail and the probes with them, and a
// supervisor restarts a proxy that is only busy. A limit that was asked for and cannot be
// kept is an error; the default is lowered.
func fitDescriptors(cfg *config.Config, limit uint64, log *slog.Logger) error {
	need := uint64(2*cfg.Limits.MaxConnections + reserveDescriptors)
	if limit >= need {
		return nil
	}
	fits := 0
	if limit > reserveDescriptors {
		fits = int(limit-reserveDescriptors) / 2
	}
	if fits == 0 || cfg.Origin("limits.max_connections").Kind != config.FromDefault {
		return fmt.Errorf("limits.max_connections: %d connections need %d file descriptors, and this process may open %d; at most %d would fit, or raise the limit (ulimit -n, LimitNOFILE)",
			cfg.Limits.MaxConnections, need, limit, fits)
	}
	log.Warn("fewer connections than the default: the limit on file descriptors is low (ulimit -n, LimitNOFILE)",
		"descriptors", limit, "limits.max_connections", fits)
	cfg.Limits.MaxConnections = fits
	return nil
}
