package proxy

import (
	"context"
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

// Requests that the policy refused lately are remembered, so that whoever got one can be told why, by
// the ID that the answer carried. Only refusals are: what is forwarded costs nothing here.

// Refusal is a request that was refused by routes or rules, as they saw it. Its query is not kept: it
// may hold a secret.
type Refusal struct {
	ID        string
	Time      time.Time
	Method    string
	Host      string
	Path      string // in its normal form
	Truncated bool   // Path was longer than what is kept
	Source    netip.Addr
	Route     string // "": none was found
	Status    int
	Reason    string
	Rule      int    // whose block decided; -1: none
	Policy    string // version
	Preflight bool   // it was a CORS-preflight request
	Identity  *authz.Identity
	// Certificate is the client's own; nil: it has shown none.
	Certificate *authz.ClientCertificate
}

const (
	keptRefusals = 512  // of each loop: the last ones
	keptMethod   = 64   // bytes
	keptPath     = 1024 // bytes
)

// refusalRing has those of one loop, which owns them: a ring whose places are used again.
type refusalRing struct {
	ring []keptRefusal
	next int
}

type keptRefusal struct {
	id           requestID
	at           time.Time
	text         []byte // method, host and path, one behind the other
	method, host int    // where they end
	truncated    bool
	preflight    bool
	route        string
	source       netip.Addr
	status, rule int
	reason       string
	policy       string
	identity     *authz.Identity
	certificate  *authz.ClientCertificate
}

// remember keeps what the exchange is refused for. host and path are as they are routed.
func (x *exchange) remember(status int, d authz.Decision, method string, host, path []byte) {
	l := x.l
	if len(l.turnedAway.ring) < keptRefusals {
		l.turnedAway.ring = append(l.turnedAway.ring, keptRefusal{})
	}
	r := &l.turnedAway.ring[l.turnedAway.next]
	l.turnedAway.next = (l.turnedAway.next + 1) % keptRefusals
	method = method[:min(len(method), keptMethod)]
	text := append(append(r.text[:0], method...), host...)
	*r = keptRefusal{id: x.id, at: l.now(), method: len(method), host: len(text), truncated: len(path) > keptPath, preflight: isPreflight(method, &l.req),
		source: x.source(), status: status, rule: d.Rule, reason: d.Reason, policy: x.snap.Version, identity: x.identity, certificate: x.d.proof.certificate()}
	r.text = append(text, path[:min(len(path), keptPath)]...)
	if x.route != nil {
		r.route = x.route.Name
	}
}

// refusalNote asks a loop for a refusal.
type refusalNote struct {
	id  string
	out chan<- *Refusal // has room for one answer; nil: it has none
}

// find answers a refusalNote.
func (r *refusalRing) find(id string) *Refusal {
	for i := range r.ring {
		f := &r.ring[(r.next+len(r.ring)-1-i)%len(r.ring)] // the last first: a client may use an ID again
		if string(f.id.bytes()) != id {
			continue
		}
		return &Refusal{ID: id, Time: f.at, Method: string(f.text[:f.method]), Host: string(f.text[f.method:f.host]), Path: string(f.text[f.host:]), Truncated: f.truncated,
			Source: f.source, Route: f.route, Status: f.status, Reason: f.reason, Rule: f.rule, Policy: f.policy, Preflight: f.preflight, Identity: f.identity, Certificate: f.certificate}
	}
	return nil
}

// Refusal finds the last request with an ID that was refused lately; nil: it is not among the last of any loop. The error
// is that of ctx, where it ended before all loops had answered. Any goroutine may call it.
func (core *Core) Refusal(ctx context.Context, id string) (last *Refusal, err error) {
	core.mu.Lock()
	shards := len(core.loops)
	core.mu.Unlock()
	for shard := range shards {
		out := make(chan *Refusal, 1)
		core.post(shard, refusalNote{id, out})
		select {
		case r := <-out:
			if r != nil && (last == nil || r.Time.After(last.Time)) {
				last = r
			}
		case <-ctx.Done(): // a loop that is over never answers
			return last, ctx.Err()
		}
	}
	return last, nil
}
