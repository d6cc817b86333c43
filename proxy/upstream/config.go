package upstream

import "time"

// Defaults of Config.
const (
	DefaultConnectTimeout  = 5 * time.Second
	DefaultResponseTimeout = 60 * time.Second
	DefaultStreamIdle      = 5 * time.Minute
	DefaultIdleTimeout     = 60 * time.Second
	DefaultTunnelIdle      = time.Hour
	DefaultMaxIdle         = 256
)

// Config describes a cluster. Zero durations and counts are the defaults above;
// negative ones switch the limit off, except ConnectTimeout, which always bounds.
type Config struct {
	Name            string
	Endpoints       []string // host:port
	Balance         Balance
	ConnectTimeout  time.Duration // for a TCP connection
	ResponseTimeout time.Duration // from the request's last byte to the response's head
	StreamIdle      time.Duration // no byte of a response body
	TunnelIdle      time.Duration // no byte of a tunnel in either direction
	IdleTimeout     time.Duration // of a pooled connection; less if the peer announced less
	MaxIdle         int           // pooled connections for each endpoint and shard; negative: no pooling
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	set(&c.ConnectTimeout, DefaultConnectTimeout)
	if c.ConnectTimeout < 0 {
		c.ConnectTimeout = DefaultConnectTimeout
	}
	set(&c.ResponseTimeout, DefaultResponseTimeout)
	set(&c.StreamIdle, DefaultStreamIdle)
	set(&c.TunnelIdle, DefaultTunnelIdle)
	set(&c.IdleTimeout, DefaultIdleTimeout)
	if c.MaxIdle == 0 {
		c.MaxIdle = DefaultMaxIdle
	}
	return c
}
