//go:build linux

package main

import (
	"slices"

	"github.com/sluiceproxy/sluice/bench/peers/load"
)

const us = "sluice"

// entrant is one program in one configuration.
type entrant struct {
	peer string
	mode mode
}

func (e entrant) String() string {
	switch {
	case e.peer == us && e.mode == on:
		return "sluice, key and rule"
	case e.peer == us && e.mode == shipped:
		return "sluice, as shipped"
	case e.mode == shipped:
		return e.peer + ", access log"
	}
	return e.peer
}

// rival is whom e is compared with among a peer's entrants: without a log if e has none.
// Stages on are compared with peers that have none.
func (e entrant) rival(peer string) entrant {
	if e.mode == shipped && logs(peer) {
		return entrant{peer, shipped}
	}
	return entrant{peer, off}
}

// logs reports whether a peer takes part with an access log too. Caddy's column is there
// for orientation, and the floor has none.
func logs(peer string) bool { return peer == "nginx" || peer == "haproxy" }

// entrants lists who takes part in a row, in the order of the table.
func entrants(o options, r row) (all []entrant) {
	if r.routes > 0 {
		return []entrant{{us, off}}
	}
	modes := o.modes
	if r.raw() || r.idle {
		modes = []mode{off}
	}
	for _, m := range modes {
		all = append(all, entrant{us, m})
	}
	for _, p := range o.peers {
		if r.wired() && p != "nginx" && p != "haproxy" {
			continue
		}
		if p == "caddy" && (r.raw() || r.load.Conns > 1000) {
			continue // it has no raw TCP without a plugin, and takes minutes for the rest
		}
		plain := slices.Contains(modes, off) || slices.Contains(modes, on)
		if plain {
			all = append(all, entrant{p, off})
		}
		if logs(p) && slices.Contains(modes, shipped) {
			all = append(all, entrant{p, shipped})
		} else if !logs(p) && !plain {
			all = append(all, entrant{p, off})
		}
	}
	return all
}

// withKey gives every request the same bytes, whoever serves it.
func withKey(c load.Config) load.Config {
	c.Key = apiKey
	return c
}
