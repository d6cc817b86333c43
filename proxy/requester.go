package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

// requester is the side of an exchange that asked: an HTTP/1.1 connection, or one stream of an
// HTTP/2 connection. The walk decides what is answered; how that looks on the wire, and
// what becomes of the connection, is the requester's.
//
// Of a response come, in this order: any number of interim, then respond, data and end; or
// respondWith alone, for one that we make ourselves; or drop at any moment after respond. flush follows
// whatever one call of the driver brought.
type requester interface {
	// The response of the upstream.
	interim(r *h1.Response)
	respond(r *h1.Response)
	data(b []byte)
	end(trailers []h1.Field)
	flush()

	// respondWith sends a whole response of our own. The exchange ends right behind it.
	respondWith(r response)
	// over is called when the response is queued in full.
	over()
	// drop ends an exchange whose response can neither be finished nor taken back: what was
	// sent must look as incomplete as it is.
	drop(err error)
	// upgraded turns the exchange into a tunnel; rest came behind the 101 of the upstream.
	upgraded(r *h1.Response, rest []byte)
	// become makes what asked the client's end of a tunnel. The exchange is over.
	become(e *tunnelEnd)

	// proceed takes up again what waited for the exchange: its body, or what is behind it.
	proceed()
	// holdBody stops the body because of the upstream, and takeBody undoes that.
	holdBody()
	takeBody()
	bodyHeld() bool

	// queued is how much of the response waits to be sent, and full whether its source should wait.
	queued() int
	full() bool
	// watchStall makes sure that a client which takes nothing is noticed.
	watchStall()
	arm(t engine.Timer, d time.Duration)
	// located tells the account what is known of the exchange: its route (nil: none), with its terms, and who it is for.
	located()
	// contained ends the exchange after a panic, without trusting the state.
	contained()
	// receiver is the connection to which the driver may carry the response by itself, if it may.
	receiver() (*half, bool)
}

// downstream is what is known of a connection that a client opened, whatever it speaks.
type downstream struct {
	half
	ln         *listener
	ends       ends
	handle     *drain.Conn // nil: not admitted (yet)
	serverName string      // of the TLS handshake
	proof      *proof      // of the client's certificate in it; nil: it showed none
	outcome    drain.Outcome
	decided    bool // outcome is how closed reports the connection
	barred     bool // its last response was ended for streamEnd: what of it did not leave is not the drain's loss
	leaving    bool // its streams of events are to end: drain.CauseFarewell came
}

func (d *downstream) known() *downstream { return d }

// decide fixes what closed will report. The first decision stands.
func (d *downstream) decide(o drain.Outcome) {
	if !d.decided {
		d.decided, d.outcome = true, o
	}
}

// sendOut sends to the client, and counts it.
func (d *downstream) sendOut(b []byte) {
	if d.handle != nil {
		d.handle.Bytes(0, int64(len(b)))
	}
	d.send(b)
}

// admit gets a handle. A connection that came before admission tries again with its
// first request: the policy may be in force by then.
func (d *downstream) admit() error {
	h, err := d.l.track(d.id, d.ln, d.ends.remote)
	if err == nil {
		d.handle = h
	}
	return err
}

// settleAccount says how the connection ended, and gives back its place. hurried: it was asked to go while a
// response was leaving.
func (d *downstream) settleAccount(end engine.End, hurried bool) {
	if d.handle == nil {
		d.l.unadmitted.done()
		return
	}
	outcome := drain.Completed
	switch {
	case d.decided:
		outcome = d.outcome
	case end.Err != nil:
		outcome = drain.ClientClosed
	}
	d.handle.Unsent(end.Unsent)
	if end.Discarded > 0 && outcome == drain.IdleClosed {
		d.handle.Crossed()
	}
	if end.Unsent > 0 && (end.Err != nil || hurried) { // the last response did not arrive in full
		switch {
		case hurried && !d.barred:
			outcome = drain.Cut
		case outcome == drain.Completed:
			outcome = drain.Errored
		}
	}
	d.ln.closed(outcome)
	d.l.leavePlace(d.ln, d.handle.Meta().Peer.Addr()) // not the peer that a PROXY header named
	d.handle.Done(outcome)
}

// describe tells the account that x is what runs on the connection, by its own terms.
func (d *downstream) describe(x *exchange) {
	if x.route == nil { // what the exchange before was on no longer holds
		d.handle.SetTerms(nil)
		return
	}
	d.describeBy(x, x.route.terms)
}

func (d *downstream) describeBy(x *exchange, terms *drain.Terms) {
	var user *string
	if x.identity != nil {
		user = &x.identity.User
	}
	d.handle.Describe(&x.route.Name, user)
	d.handle.SetTerms(terms)
}
