package drain

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// ReceiptSchema is the version of the JSON form of Receipt. It grows when a field
// changes its meaning or goes; new fields do not change it.
const ReceiptSchema = 1

// Names of the phases of a receipt, and what ends one.
const (
	PhaseLameDuck = "lame_duck"
	PhaseClose    = "close_listeners"
	PhaseDrain    = "drain"
	PhaseCut      = "cut"

	EndedByDraining   = "draining" // of the lame duck: the listeners were closed
	EndedByJoin       = "accept_loops_joined"
	EndedByLastHandle = "last_handle" // nobody was left
	EndedByDeadline   = "deadline"    // the budget was used up
	EndedByOperator   = "operator"    // Cut, or the context of Drain was cancelled
	EndedBySettleTime = "settle_time" // what was asked to go did not
)

// Receipt is the final account of a drain: what finished, what was told to leave, what
// was cut. Process, Trigger and Turn are the caller's to fill in. Counts are of the time
// since Leave, or since draining began if there was no lame duck.
type Receipt struct {
	Schema      int             `json:"schema"`
	Process     Process         `json:"process"`
	Trigger     string          `json:"trigger,omitempty"`
	Turn        *Turn           `json:"fleet_turn,omitempty"` // the wait for a turn in the fleet, before all phases; none: there was none
	Phases      []Phase         `json:"phases"`
	Open        ClassCounts     `json:"open"`          // connections open when the account began
	Initial     ClassCounts     `json:"initial"`       // connections open when draining began
	Accepted    uint64          `json:"accepted"`      // connections, in the lame duck
	Refused     uint64          `json:"refused"`       // connections, while draining
	Told        uint64          `json:"told"`          // connections told to leave
	ToldClass   ClassCounts     `json:"told_by_class"` // of these, those that are gone, by what they did when the account began (handshake: not there yet)
	Outcomes    OutcomeCounts   `json:"outcomes"`      // connections by how they ended
	Exchanges   ExchangeCounts  `json:"exchanges"`
	LossBound   float64         `json:"expected_loss"` // requests that idle closes are expected to have lost
	ActualLoss  uint64          `json:"actual_loss"`   // idle closes after which bytes still came: a request crossed and is lost
	Unsent      int64           `json:"bytes_unsent"`  // meant for clients, and not known to have arrived
	AssumedRTT  int64           `json:"assumed_rtt_ms"`
	Cut         []Holder        `json:"cut"` // at most 1,000; CutTotal counts all
	CutTotal    int             `json:"cut_total"`
	Stuck       []Holder        `json:"stuck"` // never returned; at most 1,000
	StuckTotal  int             `json:"stuck_total"`
	Listeners   []ListenerProof `json:"listeners"`
	Moves       []Move          `json:"deadline_moves,omitempty"` // at most 16
	Kernel      *Witness        `json:"kernel,omitempty"`         // what the kernel counted meanwhile
	PeersHidden bool            `json:"peers_hashed,omitempty"`
}

// Move is a new deadline that the drain was given while it ran.
type Move struct {
	At       time.Time `json:"at"`
	Deadline time.Time `json:"deadline"`
}

// Turn is how a stop waited for its turn in the fleet, ready and serving. The caller of Drain fills it in.
type Turn struct {
	Asked    time.Time `json:"asked"`
	WaitedMS int64     `json:"waited_ms"`
	EndedBy  string    `json:"ended_by"` // given, deadline, store_away, signal, failed
	Skipped  bool      `json:"skipped"`  // it went without: more of the fleet may have been away than the budget says
	Budget   string    `json:"budget"`   // fleet.budget
}

// Process says whose receipt it is. The caller of Drain fills it in.
type Process struct {
	Version string    `json:"version,omitempty"`
	PID     int       `json:"pid,omitempty"`
	Host    string    `json:"host,omitempty"`
	Started time.Time `json:"started,omitzero"`
}

// Phase is one stretch of the stop. Ended is zero while it lasts.
type Phase struct {
	Name    string    `json:"name"`
	Began   time.Time `json:"began"`
	Ended   time.Time `json:"ended,omitzero"`
	EndedBy string    `json:"ended_by,omitempty"`
}

// ClassCounts counts connections by class.
type ClassCounts struct {
	Handshake int `json:"handshake"`
	Idle      int `json:"idle"`
	Active    int `json:"active"`
	Tunnel    int `json:"tunnel"`
}

// Total is the sum.
func (c ClassCounts) Total() int { return c.Handshake + c.Idle + c.Active + c.Tunnel }

// String reads like "2 active, 1 tunnel", leaving out what is zero; "none" if all is.
func (c ClassCounts) String() string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{c.Active, "active"}, {c.Tunnel, "tunnel"}, {c.Idle, "idle"}, {c.Handshake, "handshake"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func (c *ClassCounts) add(class Class) {
	switch class {
	case Handshake:
		c.Handshake++
	case Idle:
		c.Idle++
	case Active:
		c.Active++
	case Tunnel:
		c.Tunnel++
	case Gone:
	}
}

// OutcomeCounts counts connections by how they ended.
type OutcomeCounts struct {
	Completed    uint64 `json:"completed"`
	ClientClosed uint64 `json:"client_closed"`
	IdleClosed   uint64 `json:"idle_closed"`
	Cut          uint64 `json:"cut"`
	Errored      uint64 `json:"errored"`
}

// ExchangeCounts counts exchanges.
type ExchangeCounts struct {
	Started     uint64 `json:"started"` // that ran when the account began, or began since, and are over
	LameDuck    uint64 `json:"finished_in_lame_duck"`
	Draining    uint64 `json:"finished_while_draining"`
	Interrupted uint64 `json:"interrupted"` // ended by us before they finished, or stuck
	Failed      uint64 `json:"failed"`      // ended by the client or the network, or because they might not go on
}

// ListenerProof is how a listener was closed.
type ListenerProof struct {
	Name    string `json:"name"`
	Proven  bool   `json:"proven"` // no handshake was reset
	Reason  string `json:"reason,omitempty"`
	Residue int    `json:"residue"` // connections still queued; they were reset
}

// Receipt returns the account as it stands; it is final once Drained is closed. The
// lists are not to be changed.
func (t *Tracker) Receipt() Receipt {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.account.final != nil {
		return *t.account.final
	}
	return t.receipt()
}

// receipt copies the account. Call with mu held.
func (t *Tracker) receipt() Receipt {
	a, b := &t.account, &t.account.before
	r := Receipt{
		Schema:   ReceiptSchema,
		Phases:   slices.Clone(a.phases),
		Open:     a.open,
		Initial:  a.initial,
		Accepted: t.totals.tracked - b.tracked,
		Refused:  t.totals.refusedDraining - b.refusedDraining,
		Told:     t.told.Load() - a.toldBefore,
		Exchanges: ExchangeCounts{
			Started: a.started, LameDuck: a.leaving, Draining: a.draining, Interrupted: a.interrupted, Failed: a.failed,
		},
		ToldClass:  a.told,
		LossBound:  a.expectedLoss,
		ActualLoss: a.actualLoss,
		Unsent:     a.unsent,
		AssumedRTT: t.cfg.AssumedRTT.Milliseconds(),
		Cut:        append([]Holder{}, a.cut...),
		CutTotal:   a.cutTotal,
		Stuck:      append([]Holder{}, a.stuck...),
		StuckTotal: a.stuckTotal,
		Listeners:  append([]ListenerProof{}, a.listeners...),
		Moves:      slices.Clone(a.moves),
	}
	n := t.totals.outcomes
	for o := range n {
		n[o] -= b.outcomes[o]
	}
	r.Outcomes = outcomeCounts(n)
	return r
}

func outcomeCounts(n [numOutcomes]uint64) OutcomeCounts {
	return OutcomeCounts{
		Completed: n[Completed], ClientClosed: n[ClientClosed], IdleClosed: n[IdleClosed],
		Cut: n[Cut], Errored: n[Errored],
	}
}

// Clean reports whether nothing was cut and nothing is stuck: exit code 0, not 3.
// Idle closes are not cuts.
func (r Receipt) Clean() bool { return r.CutTotal == 0 && r.StuckTotal == 0 }

// Took is the time from the beginning of the first phase to the end of the last.
func (r Receipt) Took() time.Duration {
	if len(r.Phases) == 0 {
		return 0
	}
	return max(0, r.Phases[len(r.Phases)-1].Ended.Sub(r.Phases[0].Began))
}

// EndedAt is when the last phase ended; zero: it has not, or there was none.
func (r Receipt) EndedAt() (at time.Time) {
	if n := len(r.Phases); n > 0 {
		at = r.Phases[n-1].Ended
	}
	return at
}

// String is the receipt in one line for people.
func (r Receipt) String() string {
	var b strings.Builder
	if r.Clean() {
		b.WriteString("drained clean")
	} else {
		fmt.Fprintf(&b, "cut %d, stuck %d", r.CutTotal, r.StuckTotal)
	}
	fmt.Fprintf(&b, " in %s: %d connections at the start (%s), %d exchanges finished",
		r.Took().Round(time.Millisecond), r.Initial.Total(), r.Initial, r.Exchanges.LameDuck+r.Exchanges.Draining)
	if r.Turn != nil && r.Turn.Skipped {
		fmt.Fprintf(&b, ", WITHOUT a turn in the fleet (%s)", r.Turn.EndedBy)
	}
	for _, p := range []struct {
		n    uint64
		what string
	}{
		{r.Exchanges.Interrupted, "interrupted"}, {r.Told, "told to leave"},
		{r.Outcomes.IdleClosed, "closed idle"}, {r.ActualLoss, "lost by that"}, {r.Refused, "refused"},
	} {
		if p.n > 0 {
			fmt.Fprintf(&b, ", %d %s", p.n, p.what)
		}
	}
	return b.String()
}

// PeersHashed returns a copy in which the address of each peer is replaced by a keyed
// hash (the port is dropped), so that a receipt can leave the house: the same client
// under the same key is the same word. Without a secret key an IPv4 address could be
// found by trying them all.
func (r Receipt) PeersHashed(key []byte) Receipt {
	r.Cut, r.Stuck = hashPeers(r.Cut, key), hashPeers(r.Stuck, key)
	r.PeersHidden = true
	return r
}

func hashPeers(hs []Holder, key []byte) []Holder {
	hs = slices.Clone(hs)
	for i := range hs {
		address := hs[i].Peer
		if ap, err := netip.ParseAddrPort(address); err == nil {
			address = ap.Addr().String()
		}
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(address))
		hs[i].Peer = hex.EncodeToString(mac.Sum(nil)[:8])
	}
	return hs
}
