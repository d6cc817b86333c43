package policysync

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
)

// maxManifest bounds a head manifest, in bytes.
const maxManifest = 2 << 20

// Manifest is what a head says, as JSON. A publisher puts the objects first and then swaps
// the head.
type Manifest struct {
	Version  uint64            `json:"version"` // grows by each publication
	Prev     uint64            `json:"prev,omitempty"`
	Created  time.Time         `json:"created,omitzero"`
	Expires  time.Time         `json:"expires,omitzero"`    // not to be applied from then on; zero: never
	MinProxy string            `json:"min_proxy,omitempty"` // the oldest proxy that may apply it, such as "0.9"; empty: any
	Objects  map[string]string `json:"objects"`             // hex SHA-256 by name
}

// ParseManifest reads a manifest strictly. The hash of the version is that of raw.
func ParseManifest(raw []byte) (Head, error) {
	var m Manifest
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return Head{}, fmt.Errorf("the manifest is not valid: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return Head{}, errors.New("the manifest is not valid: something follows it")
	}
	switch {
	case m.Version == 0:
		return Head{}, errors.New("the manifest has no version")
	case m.Prev >= m.Version:
		return Head{}, fmt.Errorf("the manifest's version %d is not above prev %d", m.Version, m.Prev)
	case m.Objects == nil:
		return Head{}, errors.New("the manifest has no objects; an empty policy says {}")
	case len(m.Objects) > maxFiles:
		return Head{}, fmt.Errorf("the manifest has %d objects; at most %d", len(m.Objects), maxFiles)
	}
	if _, ok := parseRelease(m.MinProxy); !ok && m.MinProxy != "" {
		return Head{}, fmt.Errorf("the manifest's min_proxy %q is no version such as \"0.9\"", m.MinProxy)
	}
	h := Head{
		Version: Version{m.Version, hashOf(raw)}, Created: m.Created, Expires: m.Expires, MinProxy: m.MinProxy, Ordered: true,
		Objects: make([]Object, 0, len(m.Objects)),
	}
	for name, hash := range m.Objects {
		if !isName(name) {
			return Head{}, fmt.Errorf("the manifest's object %q has a name that no file of a policy has", name)
		}
		if !isHash(hash) {
			return Head{}, fmt.Errorf("the manifest's object %q has no SHA-256 hash in lower-case hex", name)
		}
		h.Objects = append(h.Objects, Object{name, hash})
	}
	slices.SortFunc(h.Objects, func(a, b Object) int { return strings.Compare(a.Name, b.Name) })
	return h, nil
}

// isName reports whether a file of a directory can be called that, and a terminal be shown it.
func isName(s string) bool {
	return s != "" && len(s) <= 255 && s == path.Base(s) && s != "." && s != ".." && s != "/" && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
