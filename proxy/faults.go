package proxy

import (
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// Faults is a test seam: each field breaks one rule so that the simulation can show
// that it notices. Never set one in a product.
type Faults struct {
	ServeWithoutPolicy bool // an exchange does not wait for the first snapshot to be in force (breaks invariant 4)
	IgnoreGoodbye      bool // responses never tell a client to leave
	AbortOnClose       bool // connections are reset where they should be closed in good order
	RetryPOST          bool // a request that may have been executed is sent again
	ReuseDirty         bool // an upstream connection is pooled with its response unread
	HideTruncation     bool // a truncated response is ended as if it were whole
	DropHeld           bool // pipelined input behind a finished exchange is forgotten
	EvictActive        bool // an idle eviction closes a connection that became active meanwhile
	SkipAuthorize      bool // the authorize stage is not asked
	TrustBrokenMove    bool // after a Move that broke, the rest of the body is taken to begin where it was last told
	DropEarly          bool // what came behind an upgrade on either side is forgotten
	SwitchUnasked      bool // a 101 that nobody asked for makes a tunnel
	PassAnyUpgrade     bool // an Upgrade to another HTTP is passed on
	EndInsideEvent     bool // a stream of events ends, or hears of a drain, within an event
	CloseInsideFrame   bool // a Close is sent to a WebSocket wherever its frames stand
	NoPatrol           bool // a drain waits for peers that are gone or stuck
	IgnoreLimit        bool // a connection is made without asking for a place
	StayOut            bool // an endpoint that failed its health checks never comes back
	KeepIdle           bool // an idle connection is not given up to a loop that waits for a place
	LeakSlots          bool // a connection that ends does not give its place under max_connections back
	KeepDecisions      bool // a new policy leaves open streams alone
	SpareH2            bool // a stream of HTTP/2 goes on, whatever becomes of its session
	SpareHeadless      bool // so does a tunnel whose client is gone
	EndBystanders      bool // with a stream that may not go on ends the next one, too
	// Panic is asked at points of a walk, with its downstream connection; true: it panics there.
	Panic          func(engine.ConnID) bool
	ForgetOrphans  bool // after a panic only the connection that the driver called for is let go
	LateHalfClose  bool // a tunnel ends when the first side says goodbye
	IgnoreBodyRate bool // a request body may come as slowly as it likes
	IgnoreTakeRate bool // a response may be taken as slowly as its client likes
	IgnoreBudget   bool // every request that may be sent again is
	NeverEject     bool // an endpoint that fails real traffic is asked like any other
	StayEjected    bool // an answer does not bring an ejected endpoint back
	IgnoreBalance  bool // the choice of an endpoint does not look at its load
	TrustAnyPeer   bool // a PROXY header is believed whoever sends it
	ForgetNamed    bool // whom a PROXY header names is not the peer
	OmitHeader     bool // a connection to a cluster that wants a PROXY header begins without one
	PoolNamed      bool // a connection whose PROXY header names one client is pooled

	// Of HTTP/2.
	FinalAtOnce      bool // the final GOAWAY does not wait until the client has heard the notice
	TellNewcomers    bool // a connection that came in the lame duck is told to leave before draining
	EndReset         bool // a stream whose response broke is ended, and not reset
	ForgetUnfinished bool // of the exchanges of a connection that is cut one is counted
	ReplayProcessed  bool // what an upstream reset, or left without an answer, counts as not processed
	ForgetTunnels    bool // a connection that is cut leaves its WebSockets alone
	GiveWindowEarly  bool // windows are given back before what came was passed on
}

// bend breaks what of a cluster is to be broken.
func (f *Faults) bend(c *upstream.Config) {
	if f.IgnoreBudget {
		c.RetryPercent = 1 << 20
	}
	if f.NeverEject {
		c.Outlier.Off = true
	}
	if f.IgnoreBalance {
		c.Balance = upstream.RoundRobin
	}
	if f.OmitHeader {
		c.ProxyProtocol = 0
	}
}
