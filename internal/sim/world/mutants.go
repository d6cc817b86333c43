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
	Breaks    string    // the invariant or remedy
	Shows     []string  // one of these is in the text of a violation that it causes
	Scenario  *Scenario // in which it shows; nil: in some history
	Drain     drain.Faults
	Lifecycle lifecycle.Faults
	Proxy     proxy.Faults
	Driver    sim.DriverFaults
}

// Mutants lists those that the simulation must catch.
func Mutants() []Mutant {
	return []Mutant{
		{Name: "count_without_state", Breaks: "invariant 1: Track checks the state and counts under one lock", Shows: []string{"invariant 1"}, Drain: drain.Faults{CountWithoutState: true}},
		{Name: "no_join", Breaks: "invariant 2: accept loops are joined before Draining", Shows: []string{"invariant 2"}, Driver: sim.DriverFaults{NoJoin: true}},
		{Name: "ignore_goodbye", Breaks: "invariant 3: a connection looks at Draining again", Shows: []string{"does not say it"}, Proxy: proxy.Faults{IgnoreGoodbye: true}},
		{Name: "goodbye_never", Breaks: "goodbyes are said", Shows: []string{"does not say it"}, Drain: drain.Faults{GoodbyeNever: true}},
		{Name: "no_gate", Breaks: "invariant 4: nothing before the first snapshot", Shows: []string{"invariant 4"}, Lifecycle: lifecycle.Faults{AdmitEarly: true}, Proxy: proxy.Faults{ServeWithoutPolicy: true}},
		{Name: "admit_early", Breaks: "nothing is admitted before every target is ready", Shows: []string{"ready without"}, Lifecycle: lifecycle.Faults{AdmitEarly: true}},
		{Name: "ready_late", Breaks: "invariant 5: readiness flips before a listener closes", Shows: []string{"invariant 5"}, Lifecycle: lifecycle.Faults{ReadyLate: true}},
		{Name: "lame_duck_skipped", Breaks: "the door stays open for lame_duck.min", Shows: []string{"less than lame_duck.min"}, Lifecycle: lifecycle.Faults{LameDuckSkipped: true}},
		{Name: "quiesce_early", Breaks: "invariant 6: quiescence is the last handle", Shows: []string{"invariant 6"}, Drain: drain.Faults{QuiesceEarly: true}},
		{Name: "tunnel_forgotten", Breaks: "invariant 7: tunnels keep their handle", Shows: []string{"invariant 7"}, Drain: drain.Faults{TunnelForgotten: true}},
		{Name: "idle_close_first", Breaks: "idle connections are not closed first", Shows: []string{"closed idle"}, Drain: drain.Faults{IdleCloseFirst: true}},
		{Name: "evict_active", Breaks: "a request that came before the eviction is served", Shows: []string{"lost"}, Proxy: proxy.Faults{EvictActive: true}},
		{Name: "no_shed", Breaks: "the listener is closed without resetting a handshake", Shows: []string{"a handshake was reset", "in its queue"}, Driver: sim.DriverFaults{NoShed: true}},
		{Name: "no_linger", Breaks: "a close reads to EOF, so that RST overtakes no response", Shows: []string{"lost", "was reset"}, Driver: sim.DriverFaults{NoLinger: true}},
		{Name: "abort_on_close", Breaks: "connections are closed in good order", Shows: []string{"lost", "was reset"}, Proxy: proxy.Faults{AbortOnClose: true}},
		{Name: "retry_post", Breaks: "what may have been executed is not sent again", Shows: []string{"executed 2 times"}, Proxy: proxy.Faults{RetryPOST: true}},
		{Name: "reuse_dirty", Breaks: "a connection whose exchange is unfinished is not pooled", Shows: []string{"an upstream got a malformed", "reached the upstream as"}, Proxy: proxy.Faults{ReuseDirty: true}},
		{Name: "hide_truncation", Breaks: "a truncated response looks truncated", Shows: []string{"looks whole"}, Proxy: proxy.Faults{HideTruncation: true}},
		{Name: "trust_broken_move", Breaks: "nobody reads on where a Move broke off", Shows: []string{"lost", "executed"}, Proxy: proxy.Faults{TrustBrokenMove: true}},
		{Name: "drop_held", Breaks: "pipelined requests are served", Shows: []string{"lost"}, Proxy: proxy.Faults{DropHeld: true}},
		{Name: "skip_authorize", Breaks: "every exchange is authorised", Shows: []string{"was not allowed", "allows it"}, Proxy: proxy.Faults{SkipAuthorize: true}},
		{Name: "late_half_close", Breaks: "half-close is passed on", Shows: []string{"lost: tunnel"}, Proxy: proxy.Faults{LateHalfClose: true}},
		{Name: "drop_early", Breaks: "what came behind an upgrade goes through its tunnel", Shows: []string{"lost: upgrade", "not sent through it"}, Proxy: proxy.Faults{DropEarly: true}},
		{Name: "switch_unasked", Breaks: "a 101 that nobody asked for makes no tunnel", Shows: []string{"unasked"}, Proxy: proxy.Faults{SwitchUnasked: true}},
		{Name: "pass_h2c", Breaks: "no tunnel carries requests past the policy", Shows: []string{"with Upgrade: h2c"}, Proxy: proxy.Faults{PassAnyUpgrade: true}},
		{Name: "forget_orphans", Breaks: "a panic leaves nobody waiting for an exchange that is over", Shows: []string{"left over"}, Proxy: proxy.Faults{ForgetOrphans: true}},
		{Name: "ignore_limit", Breaks: "max_connections is exact over all loops", Shows: []string{"more than max_connections"}, Proxy: proxy.Faults{IgnoreLimit: true}},
		{Name: "leak_slots", Breaks: "a connection that ends gives its place back", Shows: []string{"although a connection was free", "lost: tunnel"}, Proxy: proxy.Faults{LeakSlots: true}},
		{Name: "stay_out", Breaks: "an endpoint that is well again is asked again", Scenario: recovery, Shows: []string{"that passes its checks again got"}, Proxy: proxy.Faults{StayOut: true}},
		{Name: "keep_idle", Breaks: "an idle connection of one loop does not keep another waiting", Shows: []string{"although a connection was free", "lost: tunnel"}, Proxy: proxy.Faults{KeepIdle: true}},
		{Name: "no_deadline", Breaks: "what is left at the deadline is cut", Shows: []string{"past its deadline"}, Drain: drain.Faults{NoDeadline: true}},
		{Name: "deadline_stays", Breaks: "a deadline that was moved holds", Shows: []string{"past its deadline", "the deadline is"}, Lifecycle: lifecycle.Faults{DeadlineStays: true}},
		{Name: "ack_ignored", Breaks: "an acknowledgement ends the lame duck", Shows: []string{"after the acknowledgement"}, Lifecycle: lifecycle.Faults{AckIgnored: true}},
		{Name: "evict_neighbour", Breaks: "who is closed is who was meant", Shows: []string{"lost", "by an operator", "was evicted, and stays"}, Drain: drain.Faults{EvictNeighbour: true}},
		{Name: "route_time_forgot", Breaks: "exchanges and tunnels of a route end at its own deadline", Shows: []string{"outlived the deadline of its route"}, Drain: drain.Faults{RouteTimeForgot: true}},
		{Name: "no_patrol", Breaks: "a client that takes nothing does not hold the drain", Shows: []string{"holds the drain"}, Proxy: proxy.Faults{NoPatrol: true}},
		{Name: "ignore_body_rate", Breaks: "a request body below the minimum rate is not waited for", Scenario: slowClients, Shows: []string{"10 bytes a second holds its exchange"}, Proxy: proxy.Faults{IgnoreBodyRate: true}},
		{Name: "ignore_take_rate", Breaks: "a response that is taken below the minimum rate is not waited for", Scenario: slowClients, Shows: []string{"20 bytes a second holds its response"}, Proxy: proxy.Faults{IgnoreTakeRate: true}},
		{Name: "ignore_budget", Breaks: "what is sent again is bounded by a budget", Scenario: retryBudget, Shows: []string{"more than the budget"}, Proxy: proxy.Faults{IgnoreBudget: true}},
		{Name: "never_eject", Breaks: "an endpoint that fails real traffic is left out", Scenario: ejection, Shows: []string{"that fails everything got"}, Proxy: proxy.Faults{NeverEject: true}},
		{Name: "stay_ejected", Breaks: "an ejected endpoint that answers is back", Scenario: ejection, Shows: []string{"that is well again got"}, Proxy: proxy.Faults{StayEjected: true}},
		{Name: "ignore_balance", Breaks: "least_request prefers the less busy endpoint", Scenario: leastRequest, Shows: []string{"that takes a second for each got"}, Proxy: proxy.Faults{IgnoreBalance: true}},
		{Name: "trust_any_peer", Breaks: "a PROXY header is believed from trusted peers only", Scenario: proxyHeaders, Shows: []string{"nobody trusts was believed"}, Proxy: proxy.Faults{TrustAnyPeer: true}},
		{Name: "forget_named", Breaks: "whom a PROXY header names is the peer", Scenario: proxyHeaders, Shows: []string{"is said to be of"}, Proxy: proxy.Faults{ForgetNamed: true}},
		{Name: "omit_header", Breaks: "a connection to a cluster with proxy_protocol begins with a header", Scenario: proxyHeaders, Shows: []string{"without its PROXY header"}, Proxy: proxy.Faults{OmitHeader: true}},
		{Name: "pool_named", Breaks: "a connection whose header names a client serves nobody else", Scenario: proxyHeaders, Shows: []string{"carries another request"}, Proxy: proxy.Faults{PoolNamed: true}},
		{Name: "close_inside_frame", Breaks: "a Close stands between two frames", Scenario: webSockets, Shows: []string{"is no frame", "within a frame", "behind a Close"}, Proxy: proxy.Faults{CloseInsideFrame: true}},
		{Name: "forget_tunnels", Breaks: "a connection of HTTP/2 that is cut takes its WebSockets along", Scenario: webSocketStreams, Shows: []string{"past its deadline", "left over", "the receipt has", "was never closed", "holds"}, Proxy: proxy.Faults{ForgetTunnels: true}},
		{Name: "end_inside_event", Breaks: "a stream of events ends between two events", Scenario: eventStreams, Shows: []string{"ends within event"}, Proxy: proxy.Faults{EndInsideEvent: true}},
		{Name: "keep_decisions", Breaks: "an open stream that a new policy does not allow is ended", Shows: []string{"may not go on, and gets bytes"}, Proxy: proxy.Faults{KeepDecisions: true}},
		{Name: "spare_h2", Breaks: "a stream of HTTP/2 ends with its session", Scenario: endedStreams, Shows: []string{"of a session that was revoked"}, Proxy: proxy.Faults{SpareH2: true}},
		{Name: "spare_headless", Breaks: "a tunnel whose client is gone ends with its session", Scenario: endedStreams, Shows: []string{"of a session that was revoked", "without a client still has it"}, Proxy: proxy.Faults{SpareHeadless: true}},
		{Name: "end_bystanders", Breaks: "the streams of other sessions go on", Scenario: endedStreams, Shows: []string{"of somebody else ended"}, Proxy: proxy.Faults{EndBystanders: true}},
		{Name: "final_at_once", Breaks: "the final GOAWAY refuses nothing that was sent before its client could know", Shows: []string{"the final GOAWAY"}, Proxy: proxy.Faults{FinalAtOnce: true}},
		{Name: "tell_newcomers", Breaks: "who comes in the lame duck is not told to leave before draining", Shows: []string{"came in the lame duck and was told"}, Proxy: proxy.Faults{TellNewcomers: true}},
		{Name: "end_reset", Breaks: "a response that broke on a stream of HTTP/2 looks broken", Shows: []string{"looks whole", "got another body"}, Proxy: proxy.Faults{EndReset: true}},
		{Name: "forget_unfinished", Breaks: "each exchange of a connection that is cut is counted", Scenario: multiplexed, Shows: []string{"exchanges interrupted"}, Proxy: proxy.Faults{ForgetUnfinished: true}},
		{Name: "replay_processed", Breaks: "only what an upstream has certainly not processed is sent again, whatever its method", Shows: []string{"executed 2 times", "executed 3 times"}, Proxy: proxy.Faults{ReplayProcessed: true}},
		{Name: "give_window_early", Breaks: "a window is given back for what was passed on, and for nothing else", Scenario: stuckStreams, Shows: []string{"that takes none"}, Proxy: proxy.Faults{GiveWindowEarly: true}},
		{Name: "receipt_forgets", Breaks: "what was cut is named", Shows: []string{"the receipt does not name"}, Drain: drain.Faults{ReceiptForgetsCut: true}},
	}
}
