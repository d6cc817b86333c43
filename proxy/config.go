package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

// Protocol is what a listener speaks.
type Protocol uint8

// The protocols.
const (
	HTTP Protocol = iota // HTTP/1.1 and HTTP/2
	TCP                  // raw bytes, routed by the listener's name
)

func (p Protocol) String() string {
	switch p {
	case HTTP:
		return "http"
	case TCP:
		return "tcp"
	}
	return "invalid"
}

// StartMode says what a listener does before the policy is in force.
type StartMode uint8

// The start modes. The zero value is Refuse.
const (
	Refuse StartMode = iota // accept; HTTP gets 503 and the reason, TCP is closed
	Hold                    // listen but do not accept: the kernel queues
)

// ListenerConfig is one listening socket.
type ListenerConfig struct {
	Name     string // unique; TCP routes refer to it, metrics carry it
	Address  string // host:port; port 0 picks one
	Protocol Protocol
	// ProxyFrom are the peers whose connections begin with a PROXY protocol header, which is
	// believed; with such a list nobody else may connect. Empty: no header is expected.
	ProxyFrom []netip.Prefix
	// MaxConnections bounds the admitted connections of this listener; 0: Config's bounds it.
	MaxConnections int
	// HTTP2 takes HTTP/2 too: on TLS what the handshake agrees on, otherwise by the client's preface.
	HTTP2 bool
	// OnlyHTTP2 takes nothing else.
	OnlyHTTP2 bool
	// TLS ends TLS here (behind a PROXY header, where one is expected); nil: what comes is
	// plaintext. The driver's shards have to be [engine.Securer]s.
	TLS TLS
}

// TLS is what a listener needs to know to be a TLS server.
type TLS interface {
	// Config is what each handshake begins with. It may choose another by GetConfigForClient.
	Config() *tls.Config
	// Covers reports whether a certificate that was chosen for the server name of a handshake
	// ("" if the client sent none) stands for host as well; both in lower case.
	Covers(serverName, host string) bool
	// Standing reports why a client's certificate, verified by these chains when its connection
	// began, is not good any more; nil: it is. It is asked for each request, and allocates nothing.
	Standing(chains [][]*x509.Certificate) error
}

// Config of a Server. The zero value of each field means its default; a negative
// duration switches the limit off where that is said.
type Config struct {
	Listeners []ListenerConfig
	Start     StartMode

	// Authenticators by the name that routes use. A route that names one which is
	// missing does not compile.
	Authenticators map[string]authz.Authenticator
	// Sites answer what is asked for below authz.SitePrefixes, on every HTTP listener. With any, no route can have such a path.
	Sites []authz.Site
	// DeniedPage makes what a person sees whose request (of that ID, for that reason of a policy) is not allowed, on a route that
	// authenticates: fields and body of a 403, whose Status and Reason are not looked at. It is called on the loop and must
	// not block. nil: such a person gets text, as everybody else does.
	DeniedPage func(requestID, reason string, id *authz.Identity) authz.Answer
	// Asserter makes what upstreams are told of an identity beside X-Sluice-User and its like, in each of AssertionFields. These
	// names are nobody else's to write, in any spelling. nil: nothing.
	Asserter        authz.Asserter
	AssertionFields []string
	// UpstreamTLS are the ways to secure connections to upstreams, by the name of the profile that
	// clusters use. One that is missing does not compile. With any, the driver's shards have to be
	// [engine.Securer]s.
	UpstreamTLS map[string]UpstreamTLS
	// TrustedProxies are the peers whose X-Forwarded-For, Forwarded and X-Request-ID
	// are believed. Empty: nobody's.
	TrustedProxies []netip.Prefix

	Limits         h1.Limits
	HTTP2          HTTP2
	MaxConnections int // downstream, all listeners, without those that are refused; 0 is 50,000

	// PerSource bounds the admitted connections from one IPv4 address or IPv6 /64; 0: none.
	// TrustedProxies are not counted: which client a connection of theirs carries is only
	// known with each request.
	PerSource int

	// MinRate is how many bytes a second a client has to send of a request body, or take of a
	// response, while nobody else is waited for; 0: none. At most 2 KiB.
	MinRate int

	HeaderTimeout time.Duration // from the first byte of a head to its last; 10 s
	BodyTimeout   time.Duration // without a byte of a request body; 60 s
	WriteTimeout  time.Duration // without a byte of a response leaving; 60 s
	IdleTimeout   time.Duration // between two requests; 620 s, more than the balancers in front wait
	StageTimeout  time.Duration // for an authenticator that had to leave the loop; 5 s
	Linger        time.Duration // how long a close reads on for the peer's FIN; 1 s
	// HalfOpenTimeout bounds a tunnel of which one side said goodbye; 5 min.
	HalfOpenTimeout time.Duration

	// PeerTimeout is how long, while draining, a peer may be silent or take nothing of what it is
	// owed before its connection is closed (5 s; negative: the deadline bounds that).
	PeerTimeout time.Duration

	// DrainTimeout and LameDuckMax are the budget of a drain, into which the drain classes of
	// routes have to fit; 0: it is not known here, and not checked.
	DrainTimeout, LameDuckMax time.Duration

	// FarewellLead is drain.Config.FarewellLead: a quarter of it is for a client to answer a Close
	// before the upstream is told in any case. 0 is 2 s.
	FarewellLead time.Duration

	// Panicked hears of each panic that was contained: where, from a closed set, what and
	// the stack. Any goroutine may call it, and it must not block; nil: nobody hears.
	Panicked func(where string, v any, stack []byte)

	// AccessLog gets one line for each exchange, as Access says; nil: none. It must not block.
	AccessLog AccessSink
	Access    Access
	// DecisionLog gets one line of JSON for each decision of a stage, without what Access redacts; nil: none.
	DecisionLog DecisionSink

	// MoveFrom is how many payload bytes must be left for the driver to carry them by itself
	// (splice); 0 is 64 KiB, negative: never.
	MoveFrom int64

	// AfterFunc runs f once after d and returns what prevents that; nil is time.AfterFunc. It
	// only wakes health checks; a simulation supplies its own scheduler.
	AfterFunc func(d time.Duration, f func()) (stop func() bool)

	// Seed makes request IDs repeatable, for simulation; 0: random.
	Seed uint64
	// Faults is a test seam; its zero value breaks nothing.
	Faults Faults
}

// HTTP2 bounds HTTP/2 connections of clients. The zero value means the defaults.
type HTTP2 struct {
	MaxStreams int // that a client may have open at a time; 0 is 128
	// MaxRequests is after how many requests a connection is told to leave, so that long-lived ones spread again over
	// replicas that were added; 0: never.
	MaxRequests int
	// MaxAge is how old a connection becomes before it is told to leave, a tenth more or less; 0: as old as it likes.
	MaxAge time.Duration
}

// AccessSink takes rendered access records, whole lines. It is called by the loops
// and must return at once: what it cannot take it counts and drops.
type AccessSink interface {
	WriteLines(b []byte)
}

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	set(&c.HeaderTimeout, 10*time.Second)
	set(&c.BodyTimeout, 60*time.Second)
	set(&c.WriteTimeout, 60*time.Second)
	set(&c.IdleTimeout, 620*time.Second)
	set(&c.StageTimeout, 5*time.Second)
	set(&c.Linger, time.Second)
	set(&c.HalfOpenTimeout, 5*time.Minute)
	set(&c.PeerTimeout, 5*time.Second)
	set(&c.FarewellLead, drain.DefaultFarewellLead)
	if c.MoveFrom == 0 {
		c.MoveFrom = moveFrom
	}
	if c.AfterFunc == nil {
		c.AfterFunc = func(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }
	}
	if c.HTTP2.MaxStreams == 0 {
		c.HTTP2.MaxStreams = 128
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 50_000
	}
	return c
}
