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
