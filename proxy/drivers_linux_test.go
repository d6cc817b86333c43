package proxy_test

import (
	"testing"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/epoll"
)

func drivers() map[string]driverMaker {
	return map[string]driverMaker{"portable": newPortable, "epoll": newEpoll}
}

func newEpoll(_ *testing.T, shards int) engine.Driver {
	d, err := epoll.New(epoll.Config{Shards: shards})
	if err != nil {
		panic(err)
	}
	return d
}
