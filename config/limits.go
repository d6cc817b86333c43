package config

import (
	"strconv"

	"github.com/sluiceproxy/sluice/internal/yaml"
)

// maxConnections is the largest limit of connections that is no typing error.
const maxConnections = 10_000_000

// bound is the range that a number has to be in.
type bound struct {
	path          string
	value         int64
	lowest, upper int64
	show          func(int64) string
}

func bounds(c *Config) []bound {
	return []bound{
		{"limits.max_connections", int64(c.Limits.MaxConnections), 1, maxConnections, number},
		{"limits.per_source", int64(c.Limits.PerSource), 0, maxConnections, number},
		{"limits.min_rate", int64(c.Limits.MinRate), 0, 2 << 10, size},
		{"limits.head", int64(c.Limits.Head), 1 << 10, 1 << 20, size},
		{"limits.line", int64(c.Limits.Line), 256, int64(c.Limits.Head), size},
		{"limits.fields", int64(c.Limits.Fields), 1, 10_000, number},
		{"limits.max_streams", int64(c.Limits.MaxStreams), 1, 10_000, number},
		{"limits.max_connection_requests", int64(c.Limits.MaxConnectionRequests), 0, 1 << 40, number},
		{"log.access_sample", int64(c.Log.AccessSample), 1, 1_000_000, number},
		{"engine.loops", int64(c.Engine.Loops), 0, 256, number},
	}
}

func (l *loader) limits() {
	for _, n := range bounds(&l.cfg) {
		if n.value < n.lowest || n.value > n.upper {
			l.fault(yaml.OutOfRange, n.path, "%s is not from %s to %s", n.show(n.value), n.show(n.lowest), n.show(n.upper))
		}
	}
}

func number(n int64) string { return strconv.FormatInt(n, 10) }
func size(n int64) string   { return yaml.Size(n).String() }
