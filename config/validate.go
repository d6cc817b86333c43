package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/authz/authn/issuer"
	"github.com/sluiceproxy/sluice/authz/authn/jwt"
	"github.com/sluiceproxy/sluice/internal/yaml"
	"github.com/sluiceproxy/sluice/proxy"
)

// fault reports what is wrong with the value at path, where it came from. A value that
// was refused before is not judged a second time.
func (l *loader) fault(code yaml.Code, path, format string, args ...any) {
	if l.isBroken(path) {
		return
	}
	message := path + ": " + fmt.Sprintf(format, args...)
	from := l.cfg.origins[path]
	switch {
	case from.Kind == FromEnv || from.Kind == FromFlag:
		l.faults.Add(yaml.Fault{File: from.Name, Path: path, Code: code, Message: message})
	case l.doc != nil:
		l.faults.Add(l.doc.Fault(path, "%s", message).Of(code))
	default:
		l.faults.Add(yaml.Fault{File: "command line", Path: path, Code: code, Message: message})
	}
}

func (l *loader) isBroken(path string) bool {
	return slices.ContainsFunc(l.broken, func(p string) bool {
		return p == path || p != "" && strings.HasPrefix(path, p+".")
	})
}

// validate checks what only the whole can show. Each check reports on its own.
func (l *loader) validate() {
	c := &l.cfg
	switch {
	case c.Version == 0:
		l.fault(yaml.Required, "version", "is required; write \"version: 1\"")
	case c.Version != 1:
		l.fault(yaml.NotOneOf, "version", "%d is not known; this program reads version 1", c.Version)
	}
	l.listeners()
	l.certificateUsers()
	l.issuers()
	l.providers()
	l.sessions()
	l.assertion()
	l.upstreamTLS()
	l.addresses()
	l.policy()
	l.etcd()
	l.fleet()
	l.times()
	l.limits()
	l.accessLog()
	l.budget()
}

func (l *loader) listeners() {
	if len(l.cfg.Listeners) == 0 {
		l.fault(yaml.Required, "listeners", "at least one is required, for example: [{name: web, address: \":8080\"}]")
	}
	names := map[string]int{}
	for i, ln := range l.cfg.Listeners {
		at := fmt.Sprintf("listeners[%d]", i)
		first, taken := names[ln.Name]
		switch {
		case ln.Name == "":
			l.fault(yaml.Required, at+".name", "is required; routes and metrics refer to it")
		case strings.Trim(ln.Name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" || len(ln.Name) > 63:
			l.fault(yaml.BadValue, at+".name", "%q is not a name: use at most 63 of a-z, 0-9, '-' and '_'", ln.Name)
		case ln.Name == "probes" || ln.Name == "admin":
			l.fault(yaml.BadValue, at+".name", "%q is the name of a socket of our own: choose another", ln.Name)
		case taken:
			l.fault(yaml.DuplicateName, at+".name", "%q is the name of listeners[%d] too", ln.Name, first)
		default:
			names[ln.Name] = i
		}
		if ln.Address == "" {
			l.fault(yaml.Required, at+".address", "is required, for example \":8080\"")
		}
		if ln.Protocol == "tcp" && (ln.HTTP2 == "on" || ln.HTTP2 == "only") {
			l.fault(yaml.Conflict, at+".http2", "a tcp listener speaks no HTTP")
		}
		l.tls(at+".tls", ln.TLS)
		if n := ln.MaxConnections; n < 0 || n > maxConnections {
			l.fault(yaml.OutOfRange, at+".max_connections", "%d is not from 0 to %d", n, maxConnections)
		}
	}
}

func (l *loader) tls(at string, t TLS) {
	l.clients(at+".client_certificates", t.Clients)
	if !t.On() && (t.MinVersion != "" || t.TicketKeys != "" || t.Clients.On()) {
		l.fault(yaml.Required, at, "there is no certificate: name some in certificates, or a folder of them in dir")
	}
	for i, c := range t.Certificates {
		if c.Cert == "" {
			l.fault(yaml.Required, fmt.Sprintf("%s.certificates[%d].cert_file", at, i), "is required")
		}
		if c.Key == "" {
			l.fault(yaml.Required, fmt.Sprintf("%s.certificates[%d].key_file", at, i), "is required")
		}
	}
}

func (l *loader) clients(at string, c Clients) {
	switch {
	case c.On() && c.CA == "":
		l.fault(yaml.Required, at+".ca_file", "is required: who vouches for clients")
	case !c.On() && (c.CA != "" || len(c.CRLs) > 0):
		l.fault(yaml.Conflict, at+".mode", "clients are not asked for certificates: say request or require")
	}
}

// certificateUsers: an authenticator that could never see a certificate is a mistake.
func (l *loader) certificateUsers() {
	asks := func(ln Listener) bool { return ln.TLS.Clients.On() }
	if l.cfg.Authenticate.ClientCertificate.On() && !slices.ContainsFunc(l.cfg.Listeners, asks) {
		l.fault(yaml.Conflict, "authenticate.client_certificate.user", "no listener asks for certificates (listeners[].tls.client_certificates)")
	}
}

// issuers: whose tokens are believed, and by which keys.
func (l *loader) issuers() {
	first := map[string]int{}
	for i, in := range l.cfg.Authenticate.JWT {
		at := fmt.Sprintf("authenticate.jwt[%d]", i)
		j, taken := first[in.Issuer]
		switch {
		case in.Issuer == "":
			l.fault(yaml.Required, at+".issuer", "is required: \"iss\" of its tokens")
		case taken:
			l.fault(yaml.DuplicateName, at+".issuer", "%q is authenticate.jwt[%d] too", in.Issuer, j)
		default:
			first[in.Issuer] = i
		}
		if len(in.Audience) == 0 || slices.Contains(in.Audience, "") {
			l.fault(yaml.Unsafe, at+".audience", "is required: without one a token for anybody else would do")
		}
		switch {
		case (in.JWKSURL == "") == (in.JWKSFile == ""):
			l.fault(yaml.Conflict, at, "needs its keys: jwks_url or jwks_file")
		case in.JWKSURL != "":
			if err := issuer.CheckURL(in.JWKSURL); err != nil {
				l.fault(yaml.Unsafe, at+".jwks_url", "%v", err)
			}
		}
		for j, alg := range in.Algorithms {
			if !slices.Contains(jwt.Algorithms(), alg) {
				l.fault(yaml.Unsafe, fmt.Sprintf("%s.algorithms[%d]", at, j), "%q is not one of: %s", alg, strings.Join(jwt.Algorithms(), ", "))
			}
		}
	}
}

// assertion: a token that is over before it arrives is none, and one that lasts outlives its user's rights.
func (l *loader) assertion() {
	a := l.cfg.Assertion
	if a.Lifetime < 10*time.Second || a.Lifetime > time.Hour {
		l.fault(yaml.OutOfRange, "assertion.lifetime", "%s is not from 10s to 1h", a.Lifetime)
	}
	if a.Pomerium && a.KeyFile == "" {
		l.fault(yaml.Required, "assertion.key_file", "is required: assertion.pomerium needs keys")
	}
}

func (l *loader) upstreamTLS() {
	names := map[string]int{}
	for i, u := range l.cfg.UpstreamTLS {
		at := fmt.Sprintf("upstream_tls[%d]", i)
		first, taken := names[u.Name]
		switch {
		case u.Name == "":
			l.fault(yaml.Required, at+".name", "is required; clusters refer to it")
		case taken:
			l.fault(yaml.DuplicateName, at+".name", "%q is the name of upstream_tls[%d] too", u.Name, first)
		default:
			names[u.Name] = i
		}
		switch {
		case u.Cert != "" && u.Key == "":
			l.fault(yaml.Required, at+".key_file", "is required with cert_file")
		case u.Cert == "" && u.Key != "":
			l.fault(yaml.Required, at+".cert_file", "is required with key_file")
		}
	}
}

// addresses checks every listening address, and that no two of them clash.
func (l *loader) addresses() {
	type use struct{ path, address string }
	uses := []use{{"probes.address", l.cfg.Probes.Address}, {"admin.address", l.cfg.Admin.Address}}
	for i, ln := range l.cfg.Listeners {
		if ln.Address != "" {
			uses = append(uses, use{fmt.Sprintf("listeners[%d].address", i), ln.Address})
		}
	}
	type taken struct {
		use
		host netip.Addr
		port uint16
	}
	var seen []taken
	for _, u := range uses {
		if path, ok := strings.CutPrefix(u.address, "unix:"); ok && u.path == "admin.address" {
			if !strings.HasPrefix(path, "/") {
				l.fault(yaml.BadValue, u.path, "%q: the path of a unix socket begins with '/'", u.address)
			}
			continue
		}
		host, port, err := parseAddress(u.address)
		if err != nil {
			l.fault(yaml.BadValue, u.path, "%v", err)
			continue
		}
		if u.path == "admin.address" && !host.IsLoopback() && l.cfg.Admin.TokenFile == "" {
			l.fault(yaml.Unsafe, u.path, "%q is reachable from elsewhere: set admin.token_file, or use 127.0.0.1, [::1] or unix:/path", u.address)
		}
		for _, other := range seen {
			if port != 0 && port == other.port && overlap(host, other.host) {
				l.fault(yaml.Conflict, u.path, "%q clashes with %s %q", u.address, other.path, other.address)
				break
			}
		}
		seen = append(seen, taken{u, host, port})
	}
}

// parseAddress reads host:port. The host is empty, "localhost" or an IP address: a name
// would be looked up at start, and a start must not depend on DNS.
func parseAddress(s string) (netip.Addr, uint16, error) {
	host, portText, err := net.SplitHostPort(s)
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("%q is not host:port, for example \":8080\" or \"127.0.0.1:8080\"", s)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("%q: the port is not a number from 0 to 65535", s)
	}
	switch host {
	case "":
		return netip.IPv6Unspecified(), uint16(port), nil
	case "localhost":
		return netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port), nil
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}, 0, fmt.Errorf("%q: the host is not an IP address", s)
	}
	return addr.Unmap(), uint16(port), nil
}

// overlap reports whether one port cannot be bound at both. [::] is dual-stack.
func overlap(a, b netip.Addr) bool {
	wild := func(x, y netip.Addr) bool { return x.IsUnspecified() && (x.Is6() || y.Is4()) }
	return a == b || wild(a, b) || wild(b, a)
}

func (l *loader) policy() {
	p := l.cfg.Policy
	if p.Source == "etcd" && !l.cfg.Etcd.On() {
		l.fault(yaml.Required, "etcd.endpoints", "are required: the policy comes from there (policy.source)")
	}
	if p.Source == "directory" && p.Dir == "" && !l.src.PolicyElsewhere {
		l.fault(yaml.Required, "policy.dir", "is required: the directory that holds routes and rules")
	}
	if p.KeysFile != "" && p.Source == "directory" && p.Layout == "plain" {
		l.fault(yaml.Conflict, "policy.keys_file", "needs policy.layout objects: the files of a plain directory carry no signatures")
	}
	if p.Threshold < 1 {
		l.fault(yaml.OutOfRange, "policy.threshold", "%d is not at least 1", p.Threshold)
	}
	if p.Poll < time.Second {
		l.fault(yaml.OutOfRange, "policy.poll", "%s is too often; at least 1s", p.Poll)
	}
	if d := p.MaxStaleness; d < 0 || d > 0 && d < 3*p.Poll {
		l.fault(yaml.OutOfRange, "policy.max_staleness", "%s is less than three times policy.poll %s: a single read that is late would count; 0s is no limit", d, p.Poll)
	}
	if p.MaxStaleness == 0 && p.OnStale != "warn" {
		l.fault(yaml.Conflict, "policy.on_stale", "%s needs a limit: policy.max_staleness", p.OnStale)
	}
	if g := p.FleetGuard; g < 0 || g > 100 {
		l.fault(yaml.OutOfRange, "policy.fleet_guard", "%d is not from 0 to 100 percent", g)
	} else if g > 0 && p.OnStale == "unready" && !l.cfg.Fleet.Enabled {
		l.fault(yaml.Conflict, "policy.fleet_guard", "there is no fleet to know of without fleet.enabled: say 0, and each replica decides by itself, or leave policy.on_stale at warn")
	}
	if p.StartFrom == "last_known_good" {
		if p.StateDir == "" {
			l.fault(yaml.Required, "policy.start_from", "last_known_good needs policy.state_dir, where that version is kept")
		}
		if p.MaxAge <= 0 {
			l.fault(yaml.OutOfRange, "policy.max_age", "must be positive: how old a version may be started from")
		}
	}
}

func (l *loader) times() {
	c := &l.cfg
	if c.LameDuck.Max < c.LameDuck.Min {
		l.fault(yaml.Conflict, "lame_duck.max", "%s is less than lame_duck.min %s", c.LameDuck.Max, c.LameDuck.Min)
	}
	if c.LameDuck.NoticeAfter > c.LameDuck.Max {
		l.fault(yaml.Conflict, "lame_duck.notice_after", "%s is past lame_duck.max %s: nobody would be told", c.LameDuck.NoticeAfter, c.LameDuck.Max)
	}
	if c.Upgrade.TakeBack < 0 || c.Upgrade.TakeBack > time.Hour {
		l.fault(yaml.OutOfRange, "upgrade.take_back", "%s is not from 0s to 1h", c.Upgrade.TakeBack)
	}
	if c.Drain.Timeout <= 0 {
		l.fault(yaml.OutOfRange, "drain.timeout", "must be positive: a drain without a deadline is not offered")
	} else if c.Drain.IdleClose > c.Drain.Timeout/2 {
		l.fault(yaml.Conflict, "drain.idle_close", "%s is more than half of drain.timeout %s", c.Drain.IdleClose, c.Drain.Timeout)
	}
	if d := c.Drain.CloseLead; d < 0 || d > c.Drain.Timeout/4 && c.Drain.Timeout > 0 {
		l.fault(yaml.OutOfRange, "drain.close_lead", "%s is not from 0s to a quarter of drain.timeout %s", d, c.Drain.Timeout)
	}
	if p := c.Drain.PeerTimeout; p > 0 && p < time.Second {
		l.fault(yaml.OutOfRange, "drain.peer_timeout", "%s is too short to tell a slow peer from a stuck one; at least 1s, or 0s for none", p)
	}
	if c.Timeouts.MaxConnectionAge < 0 {
		l.fault(yaml.OutOfRange, "timeouts.max_connection_age", "must not be negative; 0s is no limit")
	}
	for _, t := range []struct {
		path string
		d    time.Duration
	}{
		{"timeouts.head", c.Timeouts.Head}, {"timeouts.body", c.Timeouts.Body}, {"timeouts.write", c.Timeouts.Write},
		{"timeouts.idle", c.Timeouts.Idle}, {"timeouts.stage", c.Timeouts.Stage}, {"timeouts.linger", c.Timeouts.Linger},
		{"timeouts.half_open", c.Timeouts.HalfOpen}, {"upgrade.ready_timeout", c.Upgrade.ReadyTimeout},
	} {
		if t.d <= 0 {
			l.fault(yaml.OutOfRange, t.path, "must be positive: every wait has a limit")
		}
	}
}

// accessLog checks what records are made of: each part by itself, so that both are reported.
func (l *loader) accessLog() {
	for path, a := range map[string]proxy.Access{
		"log.access_redact":   {Redact: l.cfg.Log.AccessRedact},
		"log.access_template": {Template: l.cfg.Log.AccessTemplate},
	} {
		if err := a.Check(); err != nil {
			l.fault(yaml.BadValue, path, "%s", err)
		}
	}
}
