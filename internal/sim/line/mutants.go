package line

import (
	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/lifecycle/handover"
)

// stateOver is from where on a process is no more.
const stateOver = lifecycle.Stopped

// Mutant is a line with one rule broken. The zero Mutant breaks none.
type Mutant struct {
	Name    string
	Breaks  string
	Shows   []string // one of these is in the text of a violation that it causes
	Upgrade handover.Faults

	ShedShared   bool // a stop sheds whoever else holds the socket
	KeepFilter   bool // an inherited socket keeps the filter of its former owner
	DropAtSwitch bool // no duplicates are kept for the trial
	LeaveUnasked bool // a successor that is told to stop leaves the sockets at once
}

// Mutants lists those that the simulation must catch.
func Mutants() []Mutant {
	return []Mutant{
		{Name: "shed_shared", Breaks: "invariant 10: no filter on a socket that others hold", Shows: []string{"invariant 10"}, ShedShared: true},
		{Name: "drop_at_switch", Breaks: "duplicates are kept until the successor stands", Shows: []string{"cannot take"}, DropAtSwitch: true},
		{Name: "permit_any", Breaks: "a successor's policy is at least as new", Shows: []string{"older than its own"}, Upgrade: handover.Faults{PermitAny: true}},
		{Name: "confirm_blindly", Breaks: "nobody lets go for a successor that is dead", Shows: []string{"lost", "a handshake was reset", "a dial failed"}, Upgrade: handover.Faults{ConfirmBlindly: true}},
		{Name: "forget_take_back", Breaks: "a successor that fails on trial is replaced", Shows: []string{"lost", "did not end", "a dial failed", "in its queue", "left a queue"}, Upgrade: handover.Faults{ForgetTakeBack: true}},
		{Name: "ignore_silence", Breaks: "a successor on trial that says nothing is replaced", Shows: []string{"which hangs since"}, Upgrade: handover.Faults{IgnoreSilence: true}},
		{Name: "abandon_nobody", Breaks: "who is told to drain takes no successor that is not ready", Shows: []string{"in a drain that may be undone"}, Upgrade: handover.Faults{AbandonNobody: true}},
		{Name: "switch_early", Breaks: "the successor is READY before the predecessor leaves", Shows: []string{"answers probes and is"}, Upgrade: handover.Faults{SwitchEarly: true}},
		{Name: "leave_unasked", Breaks: "a successor leaves no socket before it heard who keeps it", Shows: []string{"lost", "in its queue", "left a queue", "a handshake was reset"}, LeaveUnasked: true},
	}
}
