package fleet

import (
	"errors"
	"time"
)

// done takes the result of an op.
func (d *desk) done(now time.Time, o op, r result) {
	if errors.Is(r.err, ErrLeaseLost) {
		d.counts.LeasesLost++
		d.lease, d.wrote, d.claimed = 0, nil, nil // all is gone: it is written again
		d.answered(now)
		return
	}
	if r.err != nil {
		d.counts.Failures++
		if d.failed == nil {
			d.failing, d.delay = now, 0
		}
		d.failed = r.err
		d.delay = min(max(2*d.delay, retryMin), retryMax)
		if d.asking {
			d.delay = retryMin
		}
		d.retryAt = now.Add(d.delay)
		return
	}
	d.answered(now)
	switch o.kind {
	case opNone:
	case opGrant:
		d.lease, d.renewAt = r.lease, now.Add(d.ttl/renewals)
	case opRenew:
		d.renewAt = now.Add(d.ttl / renewals)
	case opLook:
		d.looked(now, r.view)
	case opWriteReplica:
		d.wrote = &o.replica
	case opDropReplica:
		d.wrote = nil
	case opWriteClaim:
		d.claimed = &o.claim
		d.lookAt = time.Time{}
	case opDropClaim:
		d.claimed = nil
	case opSweep:
		d.left = 0
	}
}

func (d *desk) answered(now time.Time) {
	d.okAt, d.failed, d.failing, d.retryAt = now, nil, time.Time{}, time.Time{}
}

// looked takes a view: what the life before left, and whose turn it is.
func (d *desk) looked(now time.Time, v View) {
	d.lookAt = now.Add(lookEvery)
	if !d.read {
		d.read = true
		d.inherit(v)
	}
	if !d.asking || d.claimed == nil {
		return
	}
	may, before := v.Turn(d.self.ID, d.lease, d.budget)
	if before < 0 { // deleted, or another process of this ID wrote over it
		d.claimed, d.retryAt = nil, now.Add(lookEvery)
		return
	}
	d.inLine = now
	if d.before = before; may {
		d.answer(now, OutcomeGiven)
	}
}

// inherit takes over what the life before this one left: its account, and its claim, which ends when this process is ready.
// Nothing is taken from a process that lives.
func (d *desk) inherit(v View) {
	for _, s := range v.Line() {
		if s.ID == d.self.ID && s.Lease != d.lease && s.Phase == PhaseEnded {
			d.left = s.Lease
			if s.Account != nil {
				d.last = s.Account // it says whose it is, which what was left on disk does not
			}
		}
	}
	for _, r := range v.Replicas() {
		if r.ID == d.self.ID && r.Host != d.self.Host {
			d.stranger = &r
		}
	}
}
