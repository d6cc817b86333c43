package world

import (
	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/proxy"
)

// Mutant is a proxy with one rule broken, through the seams of the packages. The zero
// Mutant breaks none.
type Mutant struct {
	Name      string
	Breaks    string // the invariant or remedy
	Drain     drain.Faults
	Lifecycle lifecycle.Faults
	Proxy     proxy.Faults
	Driver    sim.DriverFaults
}

// Mutants lists those that the simulation must catch.
func Mutants() []Mutant {
	return []Mutant{
		{Name: "count_without_state", Breaks: "invariant 1: Track checks the state and counts under one lock", Drain: drain.Faults{CountWithoutState: true}},
		{Name: "no_join", Breaks: "invariant 2: accept loops are joined before Draining", Driver: sim.DriverFaults{NoJoin: true}},
		{Name: "ignore_goodbye", Breaks: "invariant 3: a connection looks at Draining again", Proxy: proxy.Faults{IgnoreGoodbye: true}},
		{Name: "goodbye_never", Breaks: "goodbyes are said", Drain: drain.Faults{GoodbyeNever: true}},
		{Name: "no_gate", Breaks: "invariant 4: nothing before the first snapshot", Lifecycle: lifecycle.Faults{AdmitEarly: true}, Proxy: proxy.Faults{ServeWithoutPolicy: true}},
		{Name: "ready_late", Breaks: "invariant 5: readiness flips before a listener closes", Lifecycle: lifecycle.Faults{ReadyLate: true}},
		{Name: "lame_duck_skipped", Breaks: "the door stays open for lame_duck.min", Lifecycle: lifecycle.Faults{LameDuckSkipped: true}},
		{Name: "quiesce_early", Breaks: "invariant 6: quiescence is the last handle", Drain: drain.Faults{QuiesceEarly: true}},
		{Name: "tunnel_forgotten", Breaks: "invariant 7: tunnels keep their handle", Drain: drain.Faults{TunnelForgotten: true}},
		{Name: "idle_close_first", Breaks: "idle connections are not closed first", Drain: drain.Faults{IdleCloseFirst: true}},
		{Name: "no_shed", Breaks: "the listener is closed without resetting a handshake", Driver: sim.DriverFaults{NoShed: true}},
		{Name: "no_linger", Breaks: "a close reads to EOF, so that RST overtakes no response", Driver: sim.DriverFaults{NoLinger: true}},
		{Name: "abort_on_close", Breaks: "connections are closed in good order", Proxy: proxy.Faults{AbortOnClose: true}},
		{Name: "retry_post", Breaks: "what may have been executed is not sent again", Proxy: proxy.Faults{RetryPOST: true}},
		{Name: "reuse_dirty", Breaks: "a connection with unread bytes is not pooled", Proxy: proxy.Faults{ReuseDirty: true}},
		{Name: "hide_truncation", Breaks: "a truncated response looks truncated", Proxy: proxy.Faults{HideTruncation: true}},
		{Name: "drop_held", Breaks: "pipelined requests are served", Proxy: proxy.Faults{DropHeld: true}},
		{Name: "skip_authorize", Breaks: "every exchange is authorised", Proxy: proxy.Faults{SkipAuthorize: true}},
		{Name: "late_half_close", Breaks: "half-close is passed on", Proxy: proxy.Faults{LateHalfClose: true}},
		{Name: "no_deadline", Breaks: "what is left at the deadline is cut", Drain: drain.Faults{NoDeadline: true}},
		{Name: "receipt_forgets", Breaks: "what was cut is named", Drain: drain.Faults{ReceiptForgetsCut: true}},
	}
}
