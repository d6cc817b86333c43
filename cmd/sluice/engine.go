package main

import (
	"errors"
	"fmt"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/portable"
	"github.com/sluiceproxy/sluice/proxy/engine/tlslayer"
)

// newDriver makes what moves the bytes: what engine.driver says, or the best there is.
func (a *app) newDriver() (engine.Driver, error) {
	if a.cfg.Engine.Driver != "portable" {
		d, err := a.newEpoll()
		switch {
		case err == nil:
			return d, nil
		case a.cfg.Engine.Driver == "epoll":
			return nil, fmt.Errorf("engine.driver: %w", err)
		case !errors.Is(err, errors.ErrUnsupported):
			a.log.Warn("no event loops here; connections are carried by goroutines", "err", err)
		}
	}
	return portable.New(portable.Config{Shards: a.cfg.Engine.Loops, Flush: a.cfg.Drain.Flush, AcceptError: a.acceptFailed}), nil
}

// secure puts TLS on a driver, if a listener or an upstream speaks it.
func (a *app) secure(d engine.Driver) engine.Driver {
	if !a.speaksTLS() {
		return d
	}
	return tlslayer.New(d, tlslayer.Config{Working: d.Shards()})
}

func (a *app) acceptFailed(listener int, err error) {
	a.server.AcceptFailed(listener)
	a.shortage.note(err)
	a.log.Warn("accept failed; trying again", "listener", a.cfg.Listeners[listener].Name, "err", err)
}
