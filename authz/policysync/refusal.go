package policysync

// Reason says in one word why a version was kept out. The set is closed: it is a label.
type Reason string

// The reasons. docs/errors.md tells of each.
const (
	BadSignature Reason = "signature" // too few valid signatures of the configured keys
	Unreadable   Reason = "parse"     // the head or a file is not what it should be
	Oversized    Reason = "oversized" // the head, an object, or all of them have too many bytes
	BadHash      Reason = "hash"      // an object is not what the head says
	Rollback     Reason = "rollback"  // older than what was in force, or the same number with another content
	Expired      Reason = "expired"   // past its time when it was offered
	MinProxy     Reason = "min_proxy" // it needs a newer proxy than this
	NotBuilt     Reason = "build"     // well formed, and the proxy cannot be built from it
)

// Reasons are all that there are.
func Reasons() []Reason {
	return []Reason{BadSignature, Unreadable, Oversized, BadHash, Rollback, Expired, MinProxy, NotBuilt}
}

// mends reports whether a version that was kept out for it may be good later though its head
// stays what it is, because the store has the right bytes again.
func (r Reason) mends() bool { return r == BadHash || r == Oversized }

// Refusal is the error of a version that is kept out. It says nothing about the source, which
// has answered.
type Refusal struct {
	Reason  Reason
	Version Version // as far as it is known: what was not believed has no number
	Err     error
}

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }
