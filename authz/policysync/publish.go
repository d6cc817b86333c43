package policysync

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"aead.dev/minisign"

	"github.com/sluiceproxy/sluice/authz/policy"
)

// Publication is what is to be the next version. Its files are taken to be a good policy: the
// publisher has parsed and compiled them.
type Publication struct {
	Files    []policy.File
	Created  time.Time             // now
	Expires  time.Time             // zero: never
	MinProxy string                // the oldest proxy that may apply it; empty: any
	Number   uint64                // 0: one more than the highest of the store
	Keys     []minisign.PrivateKey // all of them sign
}

// ErrNumber means that there is no good number for a version, or that it is not the one given.
var ErrNumber = errors.New("the number of the version")

// Publish makes it the version of the store: objects first, then a swap of the head. before is
// the head that it replaced, zero if there was none that could be believed. trust is that of the
// replicas, if it is known: what they would refuse is not published, and numbers that somebody
// else made up do not count. ErrConflict means that somebody else was first; nothing but
// objects that nobody names was written then.
func Publish(ctx context.Context, store Store, trust *Trust, p Publication) (h, before Head, err error) {
	old, err := store.RawHead(ctx)
	if err != nil && !errors.Is(err, ErrNoPolicy) {
		return h, before, err
	}
	if old != nil {
		if before, err = OpenHead(old, trust); err != nil && p.Number == 0 {
			return h, before, fmt.Errorf("%w: the present head is not to be believed, so that it does not tell; say with --number one above that of the version in force: %w", ErrNumber, err)
		}
	}
	highest, number := before.Version.Number, p.Number
	switch {
	case number == 0 && highest == math.MaxUint64:
		return h, before, fmt.Errorf("%w: there is none above the present one", ErrNumber)
	case number == 0:
		number = highest + 1
	case number <= highest:
		return h, before, fmt.Errorf("%w: %d is not above %d, the present one", ErrNumber, number, highest)
	}
	m := Manifest{Version: number, Prev: before.Version.Number, Created: p.Created.UTC(), Expires: p.Expires.UTC(), MinProxy: p.MinProxy, Objects: map[string]string{}}
	for _, f := range p.Files {
		m.Objects[f.Name] = hashOf(f.Src)
	}
	raw, err := m.sign(p.Keys)
	if err != nil {
		return h, before, err
	}
	if h, err = OpenHead(raw, trust); err != nil {
		return h, before, fmt.Errorf("the proxies would refuse this version: %w", err)
	}
	for _, f := range p.Files {
		if err := store.Put(ctx, hashOf(f.Src), f.Src); err != nil {
			return h, before, fmt.Errorf("put %s: %w", f.Name, err)
		}
	}
	return h, before, store.Swap(ctx, old, raw, number)
}

// sign writes the manifest as a raw head.
func (m Manifest) sign(keys []minisign.PrivateKey) ([]byte, error) {
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return nil, err
	}
	text = append(text, '\n')
	var signatures [][]byte
	for _, k := range keys {
		signatures = append(signatures, minisign.SignWithComments(k, text, fmt.Sprintf("sluice policy %d", m.Version), fmt.Sprintf("signature by key %016X", k.ID())))
	}
	return JoinHead(text, signatures...), nil
}

// Past returns the head of a version that was published, the present one or another.
func Past(ctx context.Context, store Store, trust *Trust, number uint64) (Head, error) {
	list, err := store.Heads(ctx, 0)
	if err != nil {
		return Head{}, err
	}
	var refused error // somebody may have put another head of that number beside the right one
	for _, raw := range list {
		if NumberOf(raw) != number {
			continue
		}
		h, err := OpenHead(raw, trust)
		if err == nil {
			return h, nil
		}
		refused = err
	}
	if refused != nil {
		return Head{}, refused
	}
	return Head{}, fmt.Errorf("%w: version %d is not among the %d that %s keeps", ErrGone, number, len(list), store.Name())
}
