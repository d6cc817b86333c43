package tlslayer_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/enginetest"
	"github.com/sluiceproxy/sluice/proxy/engine/portable"
	"github.com/sluiceproxy/sluice/proxy/engine/tlslayer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// drivers are those that the layer is tested on.
func drivers() map[string]enginetest.Factory {
	all := map[string]enginetest.Factory{"portable": func(o enginetest.Options) engine.Driver {
		return portable.New(portable.Config{Shards: o.Shards, Workers: o.Workers, AcceptError: o.AcceptError})
	}}
	addSystem(all)
	return all
}

// Whoever has no TLS sees the driver as it is.
func TestContract(t *testing.T) {
	for name, f := range drivers() {
		t.Run(name, func(t *testing.T) {
			enginetest.Run(t, func(o enginetest.Options) engine.Driver { return tlslayer.New(f(o), tlslayer.Config{}) })
		})
	}
}

func onEach(t *testing.T, f func(t *testing.T, r *rig)) {
	for name, factory := range drivers() {
		t.Run(name, func(t *testing.T) { f(t, newRig(t, factory, tlslayer.Config{})) })
	}
}
