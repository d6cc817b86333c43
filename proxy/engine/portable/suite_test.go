package portable_test

import (
	"testing"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/enginetest"
	"github.com/sluiceproxy/sluice/proxy/engine/portable"
)

func TestContract(t *testing.T) {
	enginetest.Run(t, func(o enginetest.Options) engine.Driver {
		return portable.New(portable.Config{Shards: o.Shards, Workers: o.Workers, AcceptError: o.AcceptError})
	})
}
