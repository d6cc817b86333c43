package main

import (
	"fmt"
	"log/slog"
	"runtime"

	"github.com/sluiceproxy/sluice/config"
)

// Descriptors that no admitted connection and no upstream connection takes.
const (
	// reserveDescriptors are for listeners, probes, the admin listener, logs, policy files.
	reserveDescriptors = 64
	// reserveRefused are for connections over the limit that wait for their refusal.
	reserveRefused = 32
	// reserveLoop are for an event loop: its own, and 16 pipes for bodies.
	reserveLoop = 2 + 2*16
)

// reserved is what is kept of the descriptors, so that probes are answered and upstreams
// dialed however many clients come.
func reserved(cfg *config.Config) uint64 {
	loops := cfg.Engine.Loops
	if loops == 0 {
		loops = runtime.GOMAXPROCS(0)
	}
	return uint64(reserveDescriptors + reserveRefused + reserveLoop*loops)
}

// fitDescriptors keeps limits.max_connections within what the process may open, two
// descriptors for each connection: otherwise accepts fail and the probes with them, and a
// supervisor restarts a proxy that is only busy. A limit that was asked for and cannot be
// kept is an error; the default is lowered.
func fitDescriptors(cfg *config.Config, limit uint64, log *slog.Logger) error {
	reserve := reserved(cfg)
	need := uint64(2*cfg.Limits.MaxConnections) + reserve
	if limit >= need {
		return nil
	}
	fits := 0
	if limit > reserve {
		fits = int(limit-reserve) / 2
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
