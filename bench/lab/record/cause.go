package record

// Cause is what became of an exchange.
type Cause int

// The causes.
const (
	OK           Cause = iota
	Refused            // the dial, ours or the balancer's: nothing was sent
	NoReplica          // the balancer had none that was ready: nothing was sent
	ResetBefore        // a reset, and no byte of a response
	ClosedBefore       // an orderly end, and no byte of a response
	ResetMid           // a reset within the response or the tunnel
	Truncated          // an orderly end within the response or the tunnel
	Status502
	Status503
	Status504
	StatusOther
	Timeout
	WrongBody
	NoTerminator // a stream that ended in good order without its last event or Close frame
	Twice        // the upstream executed it more than once; it may have succeeded
	NumCauses    = iota
)

var causeNames = [NumCauses]string{"ok", "refused", "no_replica", "reset_before_response", "closed_before_response", "reset_mid_response", "truncated",
	"status_502", "status_503", "status_504", "status_other", "timeout", "wrong_body", "no_terminator", "executed_twice"}

func (c Cause) String() string { return causeNames[c] }

// Lost says that something was sent and no complete answer came. A dial that found no door
// is counted, and lost nothing.
func (c Cause) Lost() bool { return c != OK && c != Refused && c != NoReplica }

// OfStatus is the cause for a status that was not asked for.
func OfStatus(status int) Cause {
	switch status {
	case 502:
		return Status502
	case 503:
		return Status503
	case 504:
		return Status504
	}
	return StatusOther
}
