package config

import (
	"time"

	"github.com/sluiceproxy/sluice/authz/policysync"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/proxy"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

// off turns the 0 of the file ("switched off") into what the Config types mean by it.
func off(d time.Duration) time.Duration {
	if d == 0 {
		return -1
	}
	return d
}

// DrainConfig is what the tracker needs.
func (c *Config) DrainConfig() drain.Config {
	return drain.Config{
		NoticeAfter:  off(c.LameDuck.NoticeAfter),
		NoticeSpread: off(max(0, c.LameDuck.Min-c.LameDuck.NoticeAfter)), // the lame duck may end then
		IdleClose:    off(c.Drain.IdleClose),
		Timeout:      c.Drain.Timeout,
		FarewellLead: off(c.Drain.CloseLead),
	}
}

// FreshnessRule is what the syncer needs, without what knows the fleet.
func (c *Config) FreshnessRule() policysync.FreshnessRule {
	out := policysync.FreshnessRule{Max: c.Policy.MaxStaleness, Guard: c.Policy.FleetGuard}
	switch c.Policy.OnStale {
	case "unready":
		out.On = policysync.Unready
	case "deny":
		out.On = policysync.Deny
	}
	return out
}

// LifecycleConfig is what the manager needs, without its functions and its log.
func (c *Config) LifecycleConfig() lifecycle.Config {
	return lifecycle.Config{
		LameDuckMin:   off(c.LameDuck.Min),
		LameDuckMax:   off(c.LameDuck.Max),
		LameDuckQuiet: off(c.LameDuck.Quiet),
		Timeout:       c.Drain.Timeout,
		TurnWait:      c.turnWait(),
		Budget:        c.Platform.StopTimeout - c.Platform.PreStop,
		Closing:       closeListeners + c.Drain.Flush + c.Drain.Linger,
	}
}

// ProxyConfig is what the server needs, without authenticators and access log.
func (c *Config) ProxyConfig() proxy.Config {
	out := proxy.Config{
		Limits:          h1.Limits{Head: int(c.Limits.Head), Line: int(c.Limits.Line), Fields: c.Limits.Fields},
		MaxConnections:  c.Limits.MaxConnections,
		MinRate:         int(c.Limits.MinRate),
		PerSource:       c.Limits.PerSource,
		HeaderTimeout:   c.Timeouts.Head,
		BodyTimeout:     c.Timeouts.Body,
		WriteTimeout:    c.Timeouts.Write,
		IdleTimeout:     c.Timeouts.Idle,
		StageTimeout:    c.Timeouts.Stage,
		Linger:          c.Timeouts.Linger,
		HalfOpenTimeout: c.Timeouts.HalfOpen,
		Access:          proxy.Access{Sample: c.Log.AccessSample, Redact: c.Log.AccessRedact, Template: c.Log.AccessTemplate},
		HTTP2:           proxy.HTTP2{MaxStreams: c.Limits.MaxStreams, MaxRequests: c.Limits.MaxConnectionRequests, MaxAge: c.Timeouts.MaxConnectionAge},
		PeerTimeout:     off(c.Drain.PeerTimeout),
		FarewellLead:    off(c.Drain.CloseLead),
		DrainTimeout:    c.Drain.Timeout,
		LameDuckMax:     c.LameDuck.Max,
	}
	if c.Start.Mode == "hold" {
		out.Start = proxy.Hold
	}
	for _, p := range c.TrustedProxies {
		out.TrustedProxies = append(out.TrustedProxies, p.Prefix)
	}
	for _, ln := range c.Listeners {
		l := proxy.ListenerConfig{Name: ln.Name, Address: ln.Address, MaxConnections: ln.MaxConnections, HTTP2: ln.Protocol != "tcp" && ln.HTTP2 != "off", OnlyHTTP2: ln.HTTP2 == "only"}
		if ln.Protocol == "tcp" {
			l.Protocol = proxy.TCP
		}
		for _, p := range ln.ProxyFrom {
			l.ProxyFrom = append(l.ProxyFrom, p.Prefix)
		}
		out.Listeners = append(out.Listeners, l)
	}
	return out
}
