package policysync

import (
	"context"
	"errors"
	"fmt"

	"github.com/sluiceproxy/sluice/authz/policy"
)

// Store is where published policies live: immutable objects by hash, one head that names
// those of the version to be in force, and the heads before it. It keeps bytes and
// understands none of them: who may write to it has no say in what is believed. Publishers
// write to it, and [FromStore] makes a source of it. Implementations are safe for concurrent
// use, by several processes too.
type Store interface {
	// Name says what and where it is: "directory /etc/sluice/policy".
	Name() string
	// RawHead reads the head, linearizably: a Swap that returned before the call is seen.
	// ErrNoPolicy means that the store works and has none. ErrTooLarge: it has more than
	// MaxRawHead bytes, which were not read.
	RawHead(ctx context.Context) ([]byte, error)
	// Fetch returns the object with that hash. The caller verifies the hash. ErrGone means
	// that it is not there; ErrTooLarge, that it has more bytes than a policy may have.
	Fetch(ctx context.Context, hash string) ([]byte, error)
	// Watch gives hints, as Watch of a Source does.
	Watch(ctx context.Context, after Version) (<-chan struct{}, error)
	// Put keeps an object, durably when it returns. One that is there already is no error.
	// The caller vouches for the hash. ErrTooLarge says how much the store takes.
	Put(ctx context.Context, hash string, b []byte) error
	// Swap makes next the head, durably when it returns, if the head is old still, byte by
	// byte; nil means that there is none. In the same step next is kept among the
	// heads under number. ErrConflict: somebody else was first, and nothing was changed.
	// Any other error leaves open whether it happened: read the head.
	Swap(ctx context.Context, old, next []byte, number uint64) error
	// Heads returns the present head and then the others that are kept, by number, newest first:
	// at most limit, and all of them if limit is 0. What is kept under another number than it
	// claims, see [NumberOf], is not one of them, nor is what cannot be read. One with a number
	// above that of the present one was written by a publisher that ended before it swapped, or
	// the present one is nobody's: Heads cannot know.
	Heads(ctx context.Context, limit int) ([][]byte, error)
}

// MaxRawHead bounds a head with its signatures, in bytes.
const MaxRawHead = maxManifest + maxSignatures*maxSignature

// Errors of stores.
var (
	ErrConflict = errors.New("somebody else has published meanwhile")
	ErrTooLarge = errors.New("too large")
)

// FromStore returns the store as a source, whose heads are verified before they are parsed.
// trust is what the configuration says; nil means that it names no keys, and then signatures
// are not looked at. A head that is not to be believed is a [*Refusal].
func FromStore(store Store, trust *Trust) Source { return &storeSource{store, trust} }

type storeSource struct {
	store Store
	trust *Trust
}

func (s *storeSource) Name() string { return s.store.Name() }

func (s *storeSource) Head(ctx context.Context) (Head, error) {
	raw, err := s.store.RawHead(ctx)
	if errors.Is(err, ErrTooLarge) {
		return Head{}, &Refusal{Reason: Oversized, Err: err}
	}
	if err != nil {
		return Head{}, err
	}
	return OpenHead(raw, s.trust)
}

func (s *storeSource) Fetch(ctx context.Context, hash string) ([]byte, error) {
	if !isHash(hash) {
		return nil, fmt.Errorf("%q is not a SHA-256 hash", hash)
	}
	return s.store.Fetch(ctx, hash)
}

func (s *storeSource) Watch(ctx context.Context, after Version) (<-chan struct{}, error) {
	return s.store.Watch(ctx, after)
}

// OpenHead verifies a raw head and only then parses it. Every error is a [*Refusal]. It is
// the one way from bytes of a store to a Head.
func OpenHead(raw []byte, trust *Trust) (Head, error) {
	refuse := func(r Reason, err error) (Head, error) {
		return Head{}, &Refusal{Reason: r, Version: Version{Hash: hashOf(raw)}, Err: err}
	}
	if len(raw) > MaxRawHead {
		return refuse(Oversized, fmt.Errorf("%w: the head has %d bytes; at most %d", ErrTooLarge, len(raw), MaxRawHead))
	}
	manifest, err := trust.Verify(raw)
	if err != nil && trust == nil {
		return refuse(Unreadable, fmt.Errorf("read head: %w", err))
	}
	if err != nil {
		return refuse(BadSignature, err)
	}
	if len(manifest) > maxManifest {
		return refuse(Oversized, fmt.Errorf("%w: the manifest has %d bytes; at most %d", ErrTooLarge, len(manifest), maxManifest))
	}
	h, err := ParseManifest(manifest)
	if err != nil {
		return refuse(Unreadable, fmt.Errorf("read head: %w", err))
	}
	h.Raw = raw
	return h, nil
}

// fits refuses an object that no policy can have.
func fits(hash string, size int) error {
	if size > policy.MaxSize {
		return fmt.Errorf("%w: object %.12s has %d bytes; a policy has at most %d", ErrTooLarge, hash, size, policy.MaxSize)
	}
	return nil
}

// NumberOf returns the number that a head claims, 0 if it cannot be read. It is for keeping
// heads apart, not for believing them.
func NumberOf(raw []byte) uint64 {
	manifest, _, err := SplitHead(raw)
	if err != nil {
		return 0
	}
	h, err := ParseManifest(manifest)
	if err != nil {
		return 0
	}
	return h.Version.Number
}
