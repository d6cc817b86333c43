//go:build !linux

package main

import (
	"errors"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

func (a *app) newEpoll() (engine.Driver, error) { return nil, errors.ErrUnsupported }
