//go:build linux

package epoll_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/enginetest"
	"github.com/sluiceproxy/sluice/proxy/engine/epoll"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	enginetest.Run(t, func(o enginetest.Options) engine.Driver {
		d, err := epoll.New(epoll.Config{Shards: o.Shards, Workers: o.Workers, AcceptError: o.AcceptError})
		if err != nil {
			t.Fatal(err)
		}
		return d
	})
}

// The contract lets a driver refuse every Move, and its tests skip then. This one does not.
func TestMoves(t *testing.T) {
	d, err := epoll.New(epoll.Config{Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if !enginetest.Moves(t, d) {
		t.Error("Move is refused")
	}
}
