package config

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/authz/session"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/fleet"
	"github.com/sluiceproxy/sluice/internal/yaml"
)

// Config is the whole file, version 1. [Default] has the defaults; a Config that came
// from [Load] is complete and valid.
type Config struct {
	Version        int           `yaml:"version"` // of the format; 1
	Listeners      []Listener    `yaml:"listeners"`
	UpstreamTLS    []UpstreamTLS `yaml:"upstream_tls"`    // profiles that clusters of the policy name
	TrustedProxies []Prefix      `yaml:"trusted_proxies"` // whose X-Forwarded-*, Forwarded and X-Request-ID are believed
	Policy         Policy        `yaml:"policy"`
	Etcd           Etcd          `yaml:"etcd"`
	Fleet          Fleet         `yaml:"fleet"`
	Authenticate   Authenticate  `yaml:"authenticate"`
	Sessions       Sessions      `yaml:"sessions"`
	Assertion      Assertion     `yaml:"assertion"`
	Start          Start         `yaml:"start"`
	LameDuck       LameDuck      `yaml:"lame_duck"`
	Drain          Drain         `yaml:"drain"`
	Platform       Platform      `yaml:"platform"`
	Upgrade        Upgrade       `yaml:"upgrade"`
	Probes         Probes        `yaml:"probes"`
	Admin          Admin         `yaml:"admin"`
	Limits         Limits        `yaml:"limits"`
	Timeouts       Timeouts      `yaml:"timeouts"`
	Engine         Engine        `yaml:"engine"`
	Log            Log           `yaml:"log"`
	Health         Health        `yaml:"health"`

	origins map[string]Origin // by path; a path that is missing is a default
}

// Listener is one listening socket.
type Listener struct {
	Name      string   `yaml:"name"`                     // unique; TCP routes and metrics refer to it
	Address   string   `yaml:"address"`                  // host:port; an empty host is every address of both families
	Protocol  string   `yaml:"protocol" enum:"http,tcp"` // default http
	ProxyFrom []Prefix `yaml:"proxy_protocol_from"`      // peers whose connections begin with a PROXY protocol header (v1 or v2); nobody else may connect then
	// MaxConnections is one more bound, for this listener alone.
	MaxConnections int `yaml:"max_connections"` // downstream, of this listener; 0: only limits.max_connections
	// HTTP2 says whether HTTP/2 is taken beside HTTP/1.1: by ALPN on TLS, by its preface (prior knowledge) otherwise.
	HTTP2 string `yaml:"http2" enum:"on,off,only"` // default on; of http listeners; only: HTTP/1.1 is not taken
	TLS   TLS    `yaml:"tls"`                      // with certificates, or a folder of them, the listener speaks TLS
}

// TLS of a listener.
type TLS struct {
	Certificates []Certificate `yaml:"certificates"`
	Dir          string        `yaml:"dir"`                        // of certificates: NAME.crt or NAME.pem beside NAME.key, also one folder deeper (tls.crt, tls.key)
	MinVersion   string        `yaml:"min_version" enum:"1.2,1.3"` // default 1.2
	Clients      Clients       `yaml:"client_certificates"`
	TicketKeys   string        `yaml:"ticket_keys_file"` // keys of session tickets, 64 hexadecimal digits a line, the first seals; empty: this process's own
}

// Clients says what is asked of clients.
type Clients struct {
	Mode string   `yaml:"mode" enum:"off,request,require"` // default off; request: a client may have no certificate; require: it gets no connection without. One that is sent must be good either way
	CA   string   `yaml:"ca_file"`                         // authorities that vouch for clients, PEM; nobody else does
	CRLs []string `yaml:"crl_files"`                       // revocation lists, PEM or DER, of those authorities; with any, whose issuer has none that is up to date is refused
}

// On reports whether clients are asked for a certificate.
func (c Clients) On() bool { return c.Mode == "request" || c.Mode == "require" }

// On reports whether there is such an authenticator.
func (c ClientCertificate) On() bool { return c.User != "off" && c.User != "" }

// Certificate is a pair of PEM files.
type Certificate struct {
	Cert string `yaml:"cert_file"` // the server's own certificate first, then what leads to the root
	Key  string `yaml:"key_file"`  // its private key
}

// On reports whether the listener speaks TLS.
func (t TLS) On() bool { return len(t.Certificates) > 0 || t.Dir != "" }

// UpstreamTLS is a way to secure connections to upstreams. Their certificates are always verified.
type UpstreamTLS struct {
	Name       string `yaml:"name"`                       // unique; clusters refer to it: tls: NAME
	CA         string `yaml:"ca_file"`                    // authorities that vouch for upstreams, PEM, and then they alone do; empty: the system's
	Cert       string `yaml:"cert_file"`                  // shown to upstreams that ask for a certificate, PEM; empty: none is
	Key        string `yaml:"key_file"`                   // of that certificate
	ServerName string `yaml:"server_name"`                // what upstreams have to prove to be, where the cluster does not say; empty: the host of their address
	MinVersion string `yaml:"min_version" enum:"1.2,1.3"` // default 1.2
}

// Prefix is a range of addresses: "10.0.0.0/8", or one address without the slash.
type Prefix struct{ netip.Prefix }

// UnmarshalText reads a Prefix.
func (p *Prefix) UnmarshalText(b []byte) error {
	if addr, err := netip.ParseAddr(string(b)); err == nil && addr.Zone() == "" {
		p.Prefix = netip.PrefixFrom(addr, addr.BitLen())
		return nil
	}
	prefix, err := netip.ParsePrefix(string(b))
	if err != nil {
		return fmt.Errorf("%q is not an address or a range such as \"10.0.0.0/8\"", b)
	}
	p.Prefix = prefix.Masked()
	return nil
}

// Policy says where routes and rules come from.
type Policy struct {
	Source    string        `yaml:"source" enum:"directory,etcd"`             // directory: policy.dir; etcd: the store of the block etcd, with what sluice policy publish puts there
	Dir       string        `yaml:"dir"`                                      // of the policy; needed unless it comes from etcd, or with --to --public
	Layout    string        `yaml:"layout" enum:"plain,objects"`              // plain: YAML files; objects: a head manifest and content-addressed objects
	KeysFile  string        `yaml:"keys_file"`                                // public keys of those who may publish, as minisign and sluice policy keygen write them, read again by a reload; with any, what they did not sign is refused; empty: signatures are not looked at
	Threshold int           `yaml:"threshold"`                                // how many of the keys must have signed a version
	Poll      time.Duration `yaml:"poll"`                                     // how often the source is read even if nothing was notified
	StateDir  string        `yaml:"state_dir"`                                // where the last known good version is kept; empty: nowhere
	StartFrom string        `yaml:"start_from" enum:"source,last_known_good"` // what may be put in force at start if the source gives nothing
	MaxAge    time.Duration `yaml:"max_age"`                                  // of a last known good version that may be started from

	MaxStaleness time.Duration `yaml:"max_staleness"`                     // how long ago the policy in force may have been seen to be the newest; 0: as long as it likes
	OnStale      string        `yaml:"on_stale" enum:"warn,unready,deny"` // after that; warn: health says so; unready: this replica is not ready, within fleet_guard; deny: nobody is let in any more
	FleetGuard   int           `yaml:"fleet_guard"`                       // percent: unready only while fewer of the fleet are stale, and never where that is not known; 0: whatever the others are
}

// Fleet is about the other replicas, which the store in etcd knows.
type Fleet struct {
	Enabled    bool          `yaml:"enabled"`     // this process registers in etcd, and asks for its turn before it leaves
	ID         string        `yaml:"id"`          // of this replica: unique in the fleet, and the same after a restart; default the name of the host
	TTL        time.Duration `yaml:"ttl"`         // how long after its last word a replica counts as gone
	Budget     string        `yaml:"budget"`      // how many replicas may drain or restart at once: a number in quotes, or a share such as 10%, rounded down and at least 1
	BudgetWait time.Duration `yaml:"budget_wait"` // how long a stop waits, ready and serving, for its turn; then it goes on without. Part of platform.stop_timeout; 0: it does not wait
}

// Etcd is the store that a fleet shares, if there is one.
type Etcd struct {
	Endpoints      []string      `yaml:"endpoints"`       // of its members: host:port, or with https:// in front; empty: there is no store
	Prefix         string        `yaml:"prefix"`          // of all keys
	CA             string        `yaml:"ca_file"`         // authorities that vouch for the members, PEM, and then they alone do; with it connections speak TLS; empty: the system's, where an endpoint says https
	Cert           string        `yaml:"cert_file"`       // shown to the members, PEM, read at each handshake; empty: none is
	Key            string        `yaml:"key_file"`        // of that certificate
	User           string        `yaml:"user"`            // that we log in as; empty: nobody
	Password       string        `yaml:"password_file"`   // of that user, read at each login; without TLS it is sent to this host only
	DialTimeout    time.Duration `yaml:"dial_timeout"`    // of one attempt to connect
	RequestTimeout time.Duration `yaml:"request_timeout"` // of a request, on all the members that it is tried on
}

// Authenticate configures the authenticators that routes may name.
type Authenticate struct {
	APIKey            APIKey            `yaml:"api_key"`
	JWT               []JWT             `yaml:"jwt"`
	OIDC              []OIDC            `yaml:"oidc"`
	Basic             Basic             `yaml:"basic"`
	ClientCertificate ClientCertificate `yaml:"client_certificate"`
}

// Assertion is what upstreams are told of who sent a request in a form that they can verify.
type Assertion struct {
	KeyFile  string        `yaml:"key_file"` // private keys in PEM, Ed25519 or P-256: the first signs X-Sluice-Jwt-Assertion, all are published at /.well-known/sluice/jwks.json; empty: off
	Lifetime time.Duration `yaml:"lifetime"` // of a token
	Pomerium bool          `yaml:"pomerium"` // the same as X-Pomerium-Jwt-Assertion, and the keys at /.well-known/pomerium/jwks.json too
}

// Basic is authentication by user and password.
type Basic struct {
	File string `yaml:"file"` // users and hashes of their passwords, bcrypt or argon2id, as htpasswd -B writes it; empty: off
}

// JWT is authentication by the tokens of an issuer.
type JWT struct {
	Issuer     string   `yaml:"issuer"`     // "iss" of its tokens, byte by byte
	Audience   []string `yaml:"audience"`   // one of them has to be in "aud": who the tokens are for
	JWKSURL    string   `yaml:"jwks_url"`   // of its keys: https, or http to this host; fetched every 10m, and for a key that is not known
	JWKSFile   string   `yaml:"jwks_file"`  // of its keys, instead
	Algorithms []string `yaml:"algorithms"` // of signatures; empty: RS256, ES256, EdDSA. Also RS384 RS512 PS256 PS384 PS512 ES384 ES512
	User       string   `yaml:"user"`       // claim that is the user; empty: sub. A path has / between its names
	Email      string   `yaml:"email"`      // claim that is the email address; empty: email. None if email_verified is false
	Groups     string   `yaml:"groups"`     // claim with the groups; empty: groups
}

// OIDC is authentication by a login at a provider of OpenID Connect, which a session keeps.
type OIDC struct {
	Name         string   `yaml:"name"`               // a-z 0-9 -; routes say oidc/NAME, and its redirect URI is https://HOST/.sluice/callback/NAME; empty for one of them: oidc, https://HOST/.sluice/callback
	Issuer       string   `yaml:"issuer"`             // address of the provider, byte by byte as it calls itself: https, or http to this host
	ClientID     string   `yaml:"client_id"`          // what the provider calls us
	ClientSecret string   `yaml:"client_secret_file"` // that we prove it with; read again when it changes; empty: a public client
	Scopes       []string `yaml:"scopes"`             // what is asked for; empty: openid, profile, email. openid is always among them
	User         string   `yaml:"user"`               // claim of the ID token that is the user; empty: sub. A path has / between its names
	Email        string   `yaml:"email"`              // claim that is the email address; empty: email. None if email_verified is false
	Groups       string   `yaml:"groups"`             // claim with the groups; empty: groups
	Claims       []string `yaml:"claims"`             // that policies see beside those, by their paths: [amr, realm_access/roles]; they have to fit into a cookie
	Algorithms   []string `yaml:"algorithms"`         // of signatures; empty: RS256, ES256, EdDSA
	CA           string   `yaml:"ca_file"`            // authorities that vouch for the provider, PEM, and then they alone do; empty: the system's
}

// ClientCertificate is authentication by the certificate of the TLS handshake.
type ClientCertificate struct {
	User string `yaml:"user" enum:"off,uri,dns,email,fingerprint"` // what of it is the user: its one subjectAltName of that kind, or its SHA-256
}

// APIKey is authentication by a key in a field of the request.
type APIKey struct {
	File string `yaml:"file"` // SHA-256 sums of the keys and whose they are; empty: off
}

// Sessions is how logins are kept: in sealed cookies. They are on where any of their keys is set.
type Sessions struct {
	KeyFile     string        `yaml:"key_file"` // keys that seal the cookies, NAME BASE64 a line (sluice session keygen), the first seals; default session.keys in policy.state_dir, made with a fresh key if it is not there
	Idle        time.Duration `yaml:"idle"`     // a session ends after so long without a request; 0: not by that
	Lifetime    time.Duration `yaml:"lifetime"` // and so long after the login in any case
	Revocations Revocations   `yaml:"revocations"`
}

// Revocations is the list of sessions that were ended before their time.
type Revocations struct {
	File         string        `yaml:"file"`                        // shared by the processes of a machine or a volume, which append to it; default revocations.jsonl in policy.state_dir
	MaxStaleness time.Duration `yaml:"max_staleness"`               // how long it may not have been read well
	WhenStale    string        `yaml:"when_stale" enum:"warn,deny"` // after that; warn: health says so; deny: requests with a session are answered 503 as well
	Fleet        SharedList    `yaml:"fleet"`
}

// SharedList is the list of revocations in etcd, beside the file: what one replica revokes, all know.
type SharedList struct {
	Enabled      bool          `yaml:"enabled"`                     // share it; default fleet.enabled
	MaxStaleness time.Duration `yaml:"max_staleness"`               // how long etcd may not have been read well
	WhenStale    string        `yaml:"when_stale" enum:"warn,deny"` // after that, and before the first time; warn: health says so; deny: requests with a session are answered 503 as well
}

// Start says what listeners do before the policy is in force.
type Start struct {
	Mode string `yaml:"mode" enum:"refuse,hold"` // refuse: answer 503 and the reason; hold: let the kernel queue
}

// LameDuck is the time between not ready and not accepting.
type LameDuck struct {
	Min         time.Duration `yaml:"min"`          // not ready, still accepting: at least so long
	Quiet       time.Duration `yaml:"quiet"`        // without a new connection that carried a request; 0: always wait for max
	Max         time.Duration `yaml:"max"`          // and at most so long
	NoticeAfter time.Duration `yaml:"notice_after"` // when clients are first told to leave, spread until min; default half of min
}

// Drain is the time between not accepting and the end.
type Drain struct {
	Timeout     time.Duration `yaml:"timeout"`      // from when the listeners begin to close; then the rest is cut
	IdleClose   time.Duration `yaml:"idle_close"`   // how long a connection may stay idle while draining
	PeerTimeout time.Duration `yaml:"peer_timeout"` // while draining: how long a client, or an end of a tunnel, may be silent or take nothing before it is not waited for; 0: until the deadline
	CloseLead   time.Duration `yaml:"close_lead"`   // how long before its time is over a WebSocket gets a Close frame, the last ones half of that; 0: not at all
	Flush       time.Duration `yaml:"flush"`        // how long a close waits for the kernel to send what is queued
	Linger      time.Duration `yaml:"linger"`       // how long the probes listener waits for a last scrape
	Receipt     string        `yaml:"receipt"`      // file; empty: log only; beside it, each of the last ten has a file of its own
}

// Platform is what the process lives under.
type Platform struct {
	StopTimeout time.Duration `yaml:"stop_timeout"` // from when it begins to stop the process to SIGKILL: terminationGracePeriodSeconds, TimeoutStopSec, stopTimeout
	PreStop     time.Duration `yaml:"pre_stop"`     // of that, what a preStop hook takes before SIGTERM comes; subtracted
}

// Upgrade is about a successor that takes over the listening sockets.
type Upgrade struct {
	ReadyTimeout time.Duration `yaml:"ready_timeout"` // from its start until it is ready; then it is stopped, and this process serves on
	TakeBack     time.Duration `yaml:"take_back"`     // how long after it took over this process takes back if it ends or hangs; 0: not at all
}

// Probes is the open, read-only listener: probes and metrics.
type Probes struct {
	Address string `yaml:"address"` // host:port; an empty host is every address of both families
}

// Admin is the private listener.
type Admin struct {
	Address   string `yaml:"address"`    // loopback host:port, or unix:/path (mode 0600)
	TokenFile string `yaml:"token_file"` // token for every request but for the files of the dashboard; without it a loopback address only reads, and any other but a unix socket is refused
}

// Engine is what moves the bytes.
type Engine struct {
	Driver string `yaml:"driver" enum:"auto,epoll,portable"` // auto: epoll where there is one (Linux), otherwise portable
	Loops  int    `yaml:"loops"`                             // event loops; 0: one for each CPU that the process may use
}

// Limits bounds what a peer may cost.
type Limits struct {
	MaxConnections int       `yaml:"max_connections"` // downstream, all listeners
	PerSource      int       `yaml:"per_source"`      // downstream connections from one IPv4 address or IPv6 /64, but for trusted_proxies; 0: no limit
	MinRate        yaml.Size `yaml:"min_rate"`        // a second, of a request body (averaged over 30s) or of a response that its client takes (over timeouts.write), while only the client is waited for; 0: none
	Head           yaml.Size `yaml:"head"`            // of one request or response head
	Line           yaml.Size `yaml:"line"`            // of one line of it
	Fields         int       `yaml:"fields"`          // field lines of one head
	// MaxStreams bounds the requests that run on one HTTP/2 connection.
	MaxStreams int `yaml:"max_streams"` // that a client may have open at a time
	// MaxConnectionRequests makes long-lived HTTP/2 connections spread again over replicas that were added.
	MaxConnectionRequests int `yaml:"max_connection_requests"` // of one HTTP/2 connection, before it is told to leave; 0: no limit
}

// Timeouts bounds every wait for a peer.
type Timeouts struct {
	Head     time.Duration `yaml:"head"`      // from the first byte of a request head to its last
	Body     time.Duration `yaml:"body"`      // without a byte of a request body
	Write    time.Duration `yaml:"write"`     // without a byte of a response leaving
	Idle     time.Duration `yaml:"idle"`      // between two requests
	Stage    time.Duration `yaml:"stage"`     // of an authenticator that has to ask somebody
	Linger   time.Duration `yaml:"linger"`    // reading on for the peer's FIN before a close
	HalfOpen time.Duration `yaml:"half_open"` // of a tunnel that one side has ended
	// MaxConnectionAge makes long-lived HTTP/2 connections spread again over replicas that were added.
	MaxConnectionAge time.Duration `yaml:"max_connection_age"` // of an HTTP/2 connection, a tenth more or less, before it is told to leave; 0: no limit
}

// Log says what is logged and how.
type Log struct {
	Format string `yaml:"format" enum:"auto,json,text"` // auto: text on a terminal
	Level  string `yaml:"level" enum:"debug,info,warn,error"`
	Access bool   `yaml:"access"` // one record for each exchange

	Decisions string `yaml:"decisions"` // where each decision is recorded: a file, or stdout; empty: nowhere. What access_redact names is left out here too

	AccessSample   int      `yaml:"access_sample"`   // of exchanges that went well, one in so many has a record; all others have one
	AccessRedact   []string `yaml:"access_redact"`   // what is left out of records: peer (its network stays), user, host, path
	AccessTemplate string   `yaml:"access_template"` // of a record, {field} in it; empty: JSON
}

// Health configures what the probes print.
type Health struct {
	Names string `yaml:"names" enum:"sluice,pomerium"`
}

// Default is a Config with every default set and nothing that has none: no listener
// and no policy.
func Default() Config {
	return Config{
		Version:      1,
		Policy:       Policy{Source: "directory", Layout: "plain", Threshold: 1, Poll: 10 * time.Second, StartFrom: "source", MaxAge: 24 * time.Hour, MaxStaleness: 5 * time.Minute, OnStale: "warn", FleetGuard: 30},
		Fleet:        Fleet{TTL: fleet.DefaultTTL, Budget: "1", BudgetWait: 30 * time.Second},
		Etcd:         Etcd{Prefix: "/sluice", DialTimeout: 2 * time.Second, RequestTimeout: 5 * time.Second},
		Authenticate: Authenticate{ClientCertificate: ClientCertificate{User: "off"}},
		Sessions:     Sessions{Idle: session.DefaultIdle, Lifetime: session.DefaultLifetime, Revocations: Revocations{MaxStaleness: session.DefaultStaleness, WhenStale: "warn", Fleet: SharedList{MaxStaleness: session.DefaultFeedStaleness, WhenStale: "warn"}}},
		Assertion:    Assertion{Lifetime: 5 * time.Minute},
		Start:        Start{Mode: "refuse"},
		LameDuck:     LameDuck{Min: 5 * time.Second, Quiet: 2 * time.Second, Max: 10 * time.Second, NoticeAfter: 2500 * time.Millisecond},
		Drain:        Drain{Timeout: 15 * time.Second, IdleClose: 5 * time.Second, PeerTimeout: 5 * time.Second, CloseLead: drain.DefaultFarewellLead, Flush: 2 * time.Second},
		Platform:     Platform{StopTimeout: 30 * time.Second},
		Upgrade:      Upgrade{ReadyTimeout: 30 * time.Second, TakeBack: 10 * time.Second},
		Probes:       Probes{Address: ":9902"},
		Admin:        Admin{Address: "127.0.0.1:9901"},
		Limits:       Limits{MaxConnections: 50_000, MinRate: 100, Head: 64 << 10, Line: 16 << 10, Fields: 100, MaxStreams: 128},
		Timeouts: Timeouts{Head: 10 * time.Second, Body: time.Minute, Write: time.Minute, Idle: 620 * time.Second,
			Stage: 5 * time.Second, Linger: time.Second, HalfOpen: 5 * time.Minute},
		Engine: Engine{Driver: "auto"},
		Log:    Log{Format: "auto", Level: "info", Access: true, AccessSample: 1},
		Health: Health{Names: "sluice"},
	}
}

// Protocols are the HTTP versions of the listener by the names of ALPN, the preferred first; nil for a tcp listener.
func (l *Listener) Protocols() []string {
	switch {
	case l.Protocol == "tcp":
		return nil
	case l.HTTP2 == "off":
		return []string{"http/1.1"}
	case l.HTTP2 == "only":
		return []string{"h2"}
	}
	return []string{"h2", "http/1.1"}
}
