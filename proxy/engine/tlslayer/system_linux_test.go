package tlslayer_test

import (
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/enginetest"
	"github.com/sluiceproxy/sluice/proxy/engine/epoll"
)

func addSystem(all map[string]enginetest.Factory) {
	all["epoll"] = func(o enginetest.Options) engine.Driver {
		d, err := epoll.New(epoll.Config{Shards: o.Shards, Workers: o.Workers, AcceptError: o.AcceptError})
		if err != nil {
			panic(err)
		}
		return d
	}
}
