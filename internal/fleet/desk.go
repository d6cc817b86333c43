package fleet

import (
	"time"
)

// The paces of a desk.
const (
	loadEvery = 1 // TTLs between two writes of the load alone
	sameEvery = 4 // and of what did not change: a predecessor may have written over it
	renewals  = 3 // in a TTL
	lookEvery = time.Second
	heldFor   = 5 * time.Second // how long a turn that was given is kept for a process that does not leave
	retryMin  = 250 * time.Millisecond
	retryMax  = 5 * time.Second
)

// AwayAfter is for how long the store may be silent before who asks for a turn goes without. One that answers some calls, and
// neither keeps a claim nor shows the line, is as silent: it would never give a turn.
const AwayAfter = 5 * time.Second

// desk decides what a replica writes and reads next, and whether it is its turn. It has no clock, store or goroutine: next
// says what to do, done hears what came of it. One thing at a time.
type desk struct {
	self     Replica // what does not change, and the facts
	ttl      time.Duration
	budget   Budget
	retired  bool     // a successor has the ID by now: replicas/<id> is its
	final    *Account // the process is over: last words
	last     *Account // of the life before this one
	stranger *Replica // somebody else with this ID was seen on another host; nil: nobody

	asking  bool // for a turn
	why     string
	askedAt time.Time
	held    time.Time // until when a turn that was given counts though facts do not say so yet
	outcome Outcome
	before  int // in the line, at the last look
	lookAt  time.Time
	inLine  time.Time // last look that had our claim in its line

	lease   LeaseID
	renewAt time.Time
	read    bool // what the life before this one left was looked for
	left    LeaseID
	wrote   *Replica // nil: nothing of ours is there
	claimed *Claim   // likewise

	okAt    time.Time // last answer
	failed  error     // of the last call; nil: it was answered
	failing time.Time // since when
	retryAt time.Time
	delay   time.Duration
	counts  Stats
}

// Stats counts what a member did.
type Stats struct {
	Failures   uint64             // calls of the store that failed
	LeasesLost uint64             // leases that were over before they were renewed
	Turns      map[Outcome]uint64 // outcomes of turns
}

// opKind is something to do at the store.
type opKind int

const (
	opNone opKind = iota
	opGrant
	opRenew
	opLook
	opWriteReplica
	opDropReplica
	opWriteClaim
	opDropClaim
	opSweep // of the claim that the life before this one left
)

type op struct {
	kind    opKind
	lease   LeaseID
	replica Replica
	claim   Claim
}

// result is what came of an op.
type result struct {
	lease LeaseID // of opGrant
	view  View    // of opLook
	err   error
}

// tell takes new facts.
func (d *desk) tell(now time.Time, f Facts) {
	if d.self.Leaving && !f.Leaving {
		d.outcome = OutcomeNone
	}
	if f.Leaving {
		d.held = time.Time{}
	}
	d.self.Facts = f
}

// ask begins to wait for a turn.
func (d *desk) ask(now time.Time, why string) {
	d.asking, d.why, d.askedAt, d.outcome, d.before = true, why, now, OutcomeNone, 0
	d.retryAt, d.lookAt = time.Time{}, time.Time{} // a store that is back is asked at once
}

// answer ends the wait.
func (d *desk) answer(now time.Time, o Outcome) {
	if !d.asking {
		return
	}
	d.asking, d.outcome = false, o
	if o == OutcomeGiven {
		d.held = now.Add(heldFor)
	}
	d.counts.Turns[o]++
}

// wantClaim is the claim that should be in the store; nil: none.
func (d *desk) wantClaim(now time.Time) *Claim {
	c := Claim{ID: d.self.ID, Instance: d.self.Instance, Why: d.why, Turn: d.outcome}
	switch {
	case d.final != nil && d.retired:
		return nil // whoever took over is there
	case d.final != nil:
		c.Phase, c.Account = PhaseEnded, d.final
	case d.self.Leaving || now.Before(d.held):
		c.Phase = PhaseAway
	case d.asking:
		c.Phase = PhaseWaiting
	default:
		return nil
	}
	return &c
}

// same reports whether two claims say the same, but for the time.
func (c *Claim) same(o *Claim) bool {
	if c == nil || o == nil {
		return c == o
	}
	x, y := *c, *o
	x.Since, y.Since = time.Time{}, time.Time{}
	return x == y
}

// next says what to do at the store, and when to ask again if that is nothing.
func (d *desk) next(now time.Time) (op, time.Time) {
	if d.asking && now.Sub(later(d.inLine, d.askedAt)) >= AwayAfter {
		d.answer(now, OutcomeAway)
	}
	if now.Before(d.retryAt) {
		return op{}, d.retryAt
	}
	if d.lease == 0 {
		return op{kind: opGrant}, now
	}
	if !now.Before(d.renewAt) {
		return op{kind: opRenew, lease: d.lease}, now
	}
	want := d.wantClaim(now)
	switch {
	case want == nil && d.claimed != nil:
		return op{kind: opDropClaim, lease: d.lease}, now
	case want != nil && !want.same(d.claimed):
		want.Since = now
		return op{kind: opWriteClaim, lease: d.lease, claim: *want}, now
	case !d.read || d.asking && !now.Before(d.lookAt):
		return op{kind: opLook}, now
	case d.left != 0 && d.self.Ready && d.final == nil:
		return op{kind: opSweep, lease: d.left}, now
	}
	return d.nextReplica(now)
}

// nextReplica is next of what the process says of itself.
func (d *desk) nextReplica(now time.Time) (op, time.Time) {
	wake := d.renewAt
	if d.asking {
		wake = earlier(wake, d.lookAt)
	}
	if now.Before(d.held) {
		wake = earlier(wake, d.held)
	}
	if d.final != nil || d.retired {
		if d.wrote != nil {
			return op{kind: opDropReplica, lease: d.lease}, now
		}
		return op{}, wake
	}
	r := d.self
	r.At, r.Last = now, d.last
	if d.wrote == nil || !d.wrote.sameButLoad(r.Facts) {
		return op{kind: opWriteReplica, lease: d.lease, replica: r}, now
	}
	if due := d.wrote.At.Add(loadEvery * d.ttl); d.wrote.Facts != r.Facts {
		if !now.Before(due) {
			return op{kind: opWriteReplica, lease: d.lease, replica: r}, now
		}
		wake = earlier(wake, due)
	}
	if !now.Before(d.wrote.At.Add(sameEvery * d.ttl)) {
		return op{kind: opWriteReplica, lease: d.lease, replica: r}, now
	}
	return op{}, wake
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
