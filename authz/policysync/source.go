package policysync

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Version names a state of the policy. Hash decides whether two are the same; Number
// grows, and is what people speak of.
type Version struct {
	Number uint64 `json:"number"`
	Hash   string `json:"hash"` // hex SHA-256 of all that the version consists of
}

// String returns "7 (2c26b46b68ff)".
func (v Version) String() string {
	return fmt.Sprintf("%d (%.12s)", v.Number, v.Hash)
}

// Object is a file of a version.
type Object struct {
	Name string // "routes.yaml", for messages
	Hash string // hex SHA-256 of its bytes
}

// Head says what a version consists of.
type Head struct {
	Version Version
	Objects []Object  // by name; empty is a policy that refuses everything
	Created time.Time // zero if the source does not know
	Expires time.Time // not to be applied from then on; zero: never
	// MinProxy is the oldest release that may apply it, such as "0.9"; empty: any.
	MinProxy string
	// Ordered says that numbers come from the publisher and that an older one than was
	// applied before is a rollback, to be refused.
	Ordered bool
	// Unsettled says that the source saw changes so recent that a writer may be in the
	// middle of them: read again before trusting it.
	Unsettled bool
	// Raw is the head as the store has it, with its signatures; nil if the source has no
	// such thing. It is kept with the version, to be verified again.
	Raw []byte
}

// Source is where a policy comes from. Implementations are safe for concurrent use.
type Source interface {
	// Name says what and where it is: "directory /etc/sluice/policy".
	Name() string
	// Head reads the newest head, linearizably: what was published before the call
	// is seen. ErrNoPolicy means that the source works and holds no policy, which is
	// not the same as an empty one.
	Head(ctx context.Context) (Head, error)
	// Fetch returns the object with that hash. The caller verifies the hash. ErrGone
	// means that it is not there any more: read the head again.
	Fetch(ctx context.Context, hash string) ([]byte, error)
	// Watch returns a channel that gets a value whenever the head may have changed
	// since version after; it is closed after ctx is done and everything is released. An
	// error, or a value too few, costs time and no correctness: heads are polled too.
	Watch(ctx context.Context, after Version) (<-chan struct{}, error)
}

// Errors of sources.
var (
	ErrNoPolicy = errors.New("there is no policy")
	ErrGone     = errors.New("the object is gone")
)
