//go:build linux

package main

import (
	"time"

	"github.com/sluiceproxy/sluice/bench/peers/load"
)

// mode is which stages of sluice are on, or whether a peer writes an access log.
type mode string

const (
	off     mode = "off"     // sluice: --public; peers: no access log
	on      mode = "on"      // sluice: API key and a rule of 10 criteria; peers have no such thing
	shipped mode = "shipped" // sluice: that, and the access log; peers: access log
)

// row is one kind of work.
type row struct {
	name, title string
	load        load.Config
	bulkPort    bool // raw rows: the origin's bulk port instead of its echo port
	splice      bool // how the floor moves bytes
	perMiB      bool // the unit is a MiB and not a request
	idle        bool // measures memory, not CPU time
	quota       bool // in a control group with half a CPU; its rate is found out before the rounds
	routes      int  // sluice only, with so many routes
	perWorkers  int  // highest pairing that runs it; 0: all
}

func (r row) raw() bool { return r.load.Mode == load.Bulk || r.load.Mode == load.Echo }

// wired rows have listeners of their own; the peers that take part are those whose configuration has them.
func (r row) wired() bool { return r.load.Wire != load.Plain }

func (r row) unit() string {
	switch {
	case r.perMiB:
		return "MiB"
	case r.load.Mode == load.Echo:
		return "connection"
	}
	return "request"
}

func rows() []row {
	get := func(conns, size int) load.Config {
		return load.Config{Mode: load.KeepAlive, Conns: conns, Size: size, Warm: 300 * time.Millisecond}
	}
	with := func(c load.Config, change func(*load.Config)) load.Config { change(&c); return c }
	return []row{
		{name: "get64", title: "keep-alive GET, 1 KiB, 64 connections", load: get(64, 1024)},
		{name: "get10", title: "keep-alive GET, 1 KiB, 10 connections", load: get(10, 1024), perWorkers: 1},
		{name: "get1000", title: "keep-alive GET, 1 KiB, 1,000 connections", load: get(1000, 1024)},
		{name: "get8000", title: "keep-alive GET, 1 KiB, 8,000 connections", load: get(8000, 1024)},
		{name: "rate5k", title: "fixed rate, 5,000 GET/s of 1 KiB, 64 connections", load: with(get(64, 1024), func(c *load.Config) { c.Mode, c.Rate = load.Paced, 5000 })},
		{name: "quota", title: "GET of 1 KiB, 64 connections, half a CPU and 128 MiB, 60% load", load: with(get(64, 1024), func(c *load.Config) { c.Mode, c.Rate = load.Paced, 1000 }), quota: true, perWorkers: 1},
		{name: "churn", title: "a connection for each GET of 1 KiB, 32 at a time", load: with(get(32, 1024), func(c *load.Config) { c.Mode = load.Churn })},
		{name: "get16k", title: "GET, 16 KiB, 32 connections", load: get(32, 16<<10)},
		{name: "get1m", title: "GET, 1 MiB, 8 connections", load: get(8, 1<<20), splice: true},
		{name: "up1m", title: "POST of 1 MiB, 8 connections", load: with(get(8, 1<<20), func(c *load.Config) { c.Upload = true }), splice: true},
		{name: "tcpbulk", title: "TCP bulk, 2 streams", load: with(get(2, 1024), func(c *load.Config) { c.Mode = load.Bulk }), bulkPort: true, splice: true, perMiB: true},
		{name: "tcpconn", title: "TCP connect, 1 KiB there and back, close; 32 at a time", load: with(get(32, 1024), func(c *load.Config) { c.Mode = load.Echo })},
		{name: "idle8000", title: "idle keep-alive connections, 8,000", load: with(get(8000, 1024), func(c *load.Config) { c.Mode, c.Warm = load.Idle, 0 }), idle: true, perWorkers: 1},
		{name: "tls64", title: "TLS 1.3, keep-alive GET, 1 KiB, 64 connections", load: with(get(64, 1024), func(c *load.Config) { c.Wire = load.TLS })},
		{name: "tlsrate", title: "TLS 1.3, fixed rate, 3,000 GET/s of 1 KiB, 64 connections", load: with(get(64, 1024), func(c *load.Config) { c.Mode, c.Rate, c.Wire = load.Paced, 3000, load.TLS }), perWorkers: 1},
		{name: "idletls", title: "idle TLS 1.3 connections, 4,000", load: with(get(4000, 1024), func(c *load.Config) { c.Mode, c.Warm, c.Wire = load.Idle, 0, load.TLS }), idle: true, perWorkers: 1},
		{name: "handshake", title: "a full TLS 1.3 handshake (X25519, P-256) for each GET of 1 KiB, 16 at a time", load: with(get(16, 1024), func(c *load.Config) { c.Wire = load.Handshake })},
		{name: "hybrid", title: "the same where the client offers X25519MLKEM768, which only Sluice takes", load: with(get(16, 1024), func(c *load.Config) { c.Wire = load.Hybrid }), perWorkers: 1},
		{name: "h2c", title: "HTTP/2 without TLS, GET, 1 KiB, 8 connections of 16 streams", load: with(get(8, 1024), func(c *load.Config) { c.Wire = load.H2C })},
		{name: "grpc", title: "gRPC unary over HTTP/2 without TLS to an origin of the same, 128 bytes there and back, 8 connections of 16 calls", load: with(get(8, 128), func(c *load.Config) { c.Wire = load.GRPC })},
		{name: "websocket", title: "WebSocket, messages of 1 KiB there and back, 64 connections", load: with(get(64, 1024), func(c *load.Config) { c.Wire = load.WebSocket })},
		{name: "routes10", title: "keep-alive GET, 1 KiB, 64 connections, 10 routes", load: get(64, 1024), routes: 10, perWorkers: 1},
		{name: "routes100k", title: "keep-alive GET, 1 KiB, 64 connections, 100,000 routes", load: with(get(64, 1024), func(c *load.Config) { c.Warm = 12 * time.Second }), routes: 100_000, perWorkers: 1},
	}
}

func rowNames() (names []string) {
	for _, r := range rows() {
		names = append(names, r.name)
	}
	return names
}
