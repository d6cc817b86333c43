package fleet

import (
	"context"
	"errors"
	"time"
)

// LeaseID names a lease of the store; 0: none.
type LeaseID int64

// Kind is a folder of the store.
type Kind int

// The kinds.
const (
	Replicas Kind = iota // replicas/<id>
	Drains               // drains/<id>
)

// String is the name of the folder.
func (k Kind) String() string {
	if k == Drains {
		return "drains"
	}
	return "replicas"
}

// ErrLeaseLost says that a lease is over: all that was bound to it is gone.
var ErrLeaseLost = errors.New("the lease is over")

// Store is what holds the keys of a fleet, each bound to a lease. Every call ends with its context. Implementations are safe
// for concurrent use. An error other than ErrLeaseLost means that nobody knows whether it was done.
type Store interface {
	// Grant makes a lease that lasts ttl from its last renewal on.
	Grant(ctx context.Context, ttl time.Duration) (LeaseID, error)
	// Renew renews it, or says ErrLeaseLost.
	Renew(ctx context.Context, lease LeaseID) error
	// Set writes a key, whoever had it, and binds it to the lease, or says ErrLeaseLost.
	Set(ctx context.Context, kind Kind, id string, value []byte, lease LeaseID) error
	// Unset removes a key if it is bound to that lease; another's stays, and that is no error.
	Unset(ctx context.Context, kind Kind, id string, lease LeaseID) error
	// Look reads everything at one revision, linearizably.
	Look(ctx context.Context) (View, error)
	// Watch returns at once, with a channel that gets a value when a claim came, went or changed; it is closed when ctx is done. An
	// error, or a value too few, costs time and no correctness: who waits looks now and then anyway.
	Watch(ctx context.Context) (<-chan struct{}, error)
}
