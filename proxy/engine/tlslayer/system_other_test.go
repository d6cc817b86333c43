//go:build !linux

package tlslayer_test

import "github.com/sluiceproxy/sluice/proxy/engine/enginetest"

func addSystem(map[string]enginetest.Factory) {}
