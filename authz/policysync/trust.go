package policysync

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"aead.dev/minisign"
)

// Trust says who may publish: a head is believed if at least a threshold of its keys have
// signed it. That is decided by the configuration alone; what a head carries can only fail to
// satisfy it. A nil *Trust is a configuration without keys and believes every head; the zero
// value believes none. It is safe for concurrent use.
type Trust struct {
	ring atomic.Pointer[ring]
}

type ring struct {
	keys      []minisign.PublicKey
	threshold int
}

// NewTrust returns a trust in keys, of which threshold must have signed, at least 1.
func NewTrust(keys []minisign.PublicKey, threshold int) (*Trust, error) {
	t := &Trust{}
	return t, t.Set(keys, threshold)
}

// Set puts other keys in the place of those that were. An error changes nothing.
func (t *Trust) Set(keys []minisign.PublicKey, threshold int) error {
	switch {
	case len(keys) == 0:
		return errors.New("there is no key")
	case threshold < 1:
		return fmt.Errorf("the threshold is %d; at least one signature is needed", threshold)
	case threshold > len(keys):
		return fmt.Errorf("the threshold is %d and there are %d keys: nothing could ever be believed", threshold, len(keys))
	}
	t.ring.Store(&ring{keys, threshold})
	return nil
}

// Keys returns how many keys there are and how many of them must have signed: 0 and 0 of nil.
func (t *Trust) Keys() (keys, threshold int) {
	if t == nil || t.ring.Load() == nil {
		return 0, 0
	}
	r := t.ring.Load()
	return len(r.keys), r.threshold
}

// Verify returns the manifest in raw, not parsed, if enough keys have signed it.
func (t *Trust) Verify(raw []byte) (manifest []byte, err error) {
	manifest, signatures, err := SplitHead(raw)
	if err != nil || t == nil {
		return manifest, err
	}
	r := t.ring.Load()
	if r == nil {
		return nil, errors.New("no key is trusted")
	}
	if len(signatures) == 0 {
		return nil, errors.New("the head is not signed, and the configuration has keys (policy.keys_file)")
	}
	valid := 0
	for _, key := range r.keys { // each counts once, however often it signed
		for _, s := range signatures {
			if minisign.Verify(key, manifest, s) {
				valid++
				break
			}
		}
	}
	if valid < r.threshold {
		return nil, fmt.Errorf("the head has %d valid signatures of the configured keys, and %d are needed (policy.keys_file, policy.threshold)", valid, r.threshold)
	}
	return manifest, nil
}

// ParseKeys reads public keys as minisign writes them: a line each, in base64. Comments before
// them, blank lines, and lines that begin with # are passed over.
func ParseKeys(text []byte) ([]minisign.PublicKey, error) {
	var keys []minisign.PublicKey
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, strings.TrimSpace(signatureMark)) {
			continue
		}
		var key minisign.PublicKey
		if err := key.UnmarshalText([]byte(line)); err != nil {
			return nil, fmt.Errorf("line %d: this is not a public key of minisign: %w", n, err)
		}
		for _, other := range keys {
			if sameKey(other, key) {
				return nil, fmt.Errorf("line %d: this key is there already; one key is one signature", n)
			}
		}
		keys = append(keys, key)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key in it")
	}
	return keys, nil
}

// sameKey compares what verifies. The ID before it is a name that anybody can choose.
func sameKey(a, b minisign.PublicKey) bool { return bytes.Equal(keyBytes(a), keyBytes(b)) }

func keyBytes(k minisign.PublicKey) []byte {
	b, err := base64.StdEncoding.DecodeString(k.String())
	if err != nil {
		panic("BUG: a key that is not base64: " + err.Error())
	}
	return b[2+8:] // behind the algorithm and the ID
}
