package session

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"crypto/cipher"
)

// The bounds of a key file.
const (
	maxRingFile = 64 << 10 // bytes
	maxRingKeys = 64
)

// settle is how long a key that comes first waits before it seals, where another can: by then everybody who reads the same
// file knows it, so that a session which one replica seals is opened by the others.
const settle = 15 * time.Second

// Ring is the keys that seal and open, from a file with a key a line, `name base64-of-32-bytes`: the first seals, all open.
// Safe for concurrent use. Before the first good Load nothing is sealed or opened.
type Ring struct {
	file string
	now  func() time.Time
	keys atomic.Pointer[keySet]

	loading sync.Mutex   // held during Load
	looked  atomic.Int64 // when Load was over last, Unix nanoseconds
	status  atomic.Pointer[RingStatus]
}

// RingStatus is what is known of a ring. Its secrets are not.
type RingStatus struct {
	Hash     string    // of names, keys and order: replicas that show the same have the same ring; "": none
	Keys     int       // in force
	Seals    string    // name of the key that seals
	Next     string    // name of the one that will, within seconds; "": none
	LoadedAt time.Time // when the keys in force were read
	Err      error     // of the last Load; nil: it was good
	ErrSince time.Time // when Err began
	Warning  string    // about the file: who else can read it; "": nothing
}

// keySet is a ring that is in force. It is immutable.
type keySet struct {
	keys   []*ringKey // never empty; the first seals
	before int        // index of the key that seals until then; 0: the first does
	until  time.Time
	hash   string
}

type ringKey struct {
	name   string
	secret [32]byte

	mu      sync.RWMutex
	derived map[Purpose]cipher.AEAD // guarded by mu
}

// NewRing returns a ring that was not read yet.
func NewRing(file string) *Ring {
	r := &Ring{file: file, now: time.Now}
	r.status.Store(&RingStatus{})
	return r
}

// Static returns a ring of keys that do not change. The error lists every fault.
func Static(text string) (*Ring, error) {
	set, err := parseRing("keys", []byte(text))
	if err != nil {
		return nil, err
	}
	r := NewRing("")
	r.keys.Store(set)
	r.status.Store(&RingStatus{Hash: set.hash, Keys: len(set.keys), LoadedAt: r.now()})
	return r, nil
}

// Status tells what is in force.
func (r *Ring) Status() RingStatus {
	s := *r.status.Load()
	if set := r.keys.Load(); set != nil {
		sealing := set.sealing(r.now())
		s.Seals = set.keys[sealing].name
		if sealing != 0 {
			s.Next = set.keys[0].name
		}
	}
	return s
}

// Load reads the file. An error names every fault with its line, and what was in force stays. Load is safe for concurrent
// use; changed says whether other keys are in force than before.
func (r *Ring) Load() (changed bool, err error) {
	r.loading.Lock()
	defer r.loading.Unlock()
	if r.file == "" {
		return false, nil
	}
	defer func() { r.looked.Store(r.now().UnixNano()) }()
	status := *r.status.Load()
	set, mode, err := readRing(r.file)
	if err != nil {
		if status.Err == nil {
			status.ErrSince = r.now()
		}
		status.Err = err
		r.status.Store(&status)
		return false, err
	}
	status.Err, status.ErrSince, status.Warning = nil, time.Time{}, ""
	if mode&0o007 != 0 {
		status.Warning = fmt.Sprintf("%s can be read by everybody on this machine (mode %04o): whoever reads it can log in as anybody; chmod 600", r.file, mode)
	}
	old := r.keys.Load()
	if changed = old == nil || old.hash != set.hash; changed {
		set.settleAfter(old, r.now())
		r.keys.Store(set)
		status.Hash, status.Keys, status.LoadedAt = set.hash, len(set.keys), r.now()
	}
	r.status.Store(&status)
	return changed, nil
}

// rereadAfter is how old a look at the file is at least where somebody asks for another one.
const rereadAfter = 200 * time.Millisecond

// Stale reports whether a key that is not known may have come to the file since that was looked at. It does not block.
func (r *Ring) Stale() bool {
	return r.file != "" && r.now().UnixNano()-r.looked.Load() >= int64(rereadAfter)
}

// Refresh looks at the file if the last look is not of just now, and reports whether other keys are in force than before: for who
// was shown something by a key that is not here, which another replica may have read already. It may block on the file.
func (r *Ring) Refresh() bool {
	if !r.Stale() {
		return false
	}
	changed, _ := r.Load() // what is wrong with the file, those who follow it say
	return changed
}

// settleAfter has the key go on that sealed so far, if there is one. A process that starts seals by the first at once: nothing
// tells it which of two was there before, and the others look at the file when they meet a key that they do not know.
func (s *keySet) settleAfter(old *keySet, now time.Time) {
	switch {
	case old == nil:
	case old.keys[0].name != s.keys[0].name:
		s.before, s.until = max(0, s.find([]byte(old.keys[old.sealing(now)].name))), now.Add(settle)
	case now.Before(old.until):
		s.before, s.until = max(0, s.find([]byte(old.keys[old.before].name))), old.until
	}
}

// sealing is the index of the key that seals.
func (s *keySet) sealing(now time.Time) int {
	if s.before != 0 && now.Before(s.until) {
		return s.before
	}
	return 0
}

// find returns the index of a key; -1: there is none of that name.
func (s *keySet) find(name []byte) int {
	for i, k := range s.keys {
		if k.name == string(name) {
			return i
		}
	}
	return -1
}

func readRing(file string) (set *keySet, mode os.FileMode, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, 0, fmt.Errorf("read session keys: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("read session keys: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxRingFile+1))
	if err != nil {
		return nil, 0, fmt.Errorf("read session keys: %w", err)
	}
	set, err = parseRing(file, text)
	return set, info.Mode().Perm(), err
}

// CheckRing says what is wrong with a key file, as Load would.
func CheckRing(file string) error {
	_, _, err := readRing(file)
	return err
}

// parseRing reads a key file. The error lists every fault with its line, and no key.
func parseRing(file string, text []byte) (*keySet, error) {
	if len(text) > maxRingFile {
		return nil, fmt.Errorf("%s: longer than %d bytes", file, maxRingFile)
	}
	set := &keySet{}
	var faults []error
	fault := func(line int, format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s:%d: %s", file, line, fmt.Sprintf(format, args...)))
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, maxRingFile+1)
	for n := 1; lines.Scan(); n++ {
		fields := bytes.Fields(lines.Bytes())
		if len(fields) == 0 || fields[0][0] == '#' {
			continue
		}
		if len(fields) != 2 {
			fault(n, "a line is a name and a key: NAME BASE64")
			continue
		}
		k := &ringKey{name: string(fields[0]), derived: map[Purpose]cipher.AEAD{}}
		secret, err := parseSecret(fields[1])
		switch k.secret = secret; {
		case err != nil:
			fault(n, "%v", err)
		case !isKeyName(k.name):
			fault(n, "the name of a key is 1 to %d of A-Z a-z 0-9 - _", maxKeyName)
		case set.find(fields[0]) >= 0:
			fault(n, "key %q is defined twice", k.name)
		case set.has(secret):
			fault(n, "key %q has been given before under another name", k.name)
		default:
			set.keys = append(set.keys, k)
		}
	}
	switch {
	case len(faults) > 0:
	case len(set.keys) == 0:
		faults = append(faults, fmt.Errorf("%s: no key; make one with: sluice session keygen", file))
	case len(set.keys) > maxRingKeys:
		faults = append(faults, fmt.Errorf("%s: %d keys; at most %d", file, len(set.keys), maxRingKeys))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	set.hash = set.fingerprint()
	return set, nil
}

func isKeyName(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= maxKeyName
}

// parseSecret reads 32 bytes of base64, of either alphabet, with padding or without.
func parseSecret(text []byte) (out [32]byte, err error) {
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if b, err := e.Strict().DecodeString(string(text)); err == nil && len(b) == len(out) {
			if out = [32]byte(b); bytes.Count(b, b[:1]) == len(b) {
				return out, errors.New("32 times the same byte is not a key; make one with: sluice session keygen")
			}
			return out, nil
		}
	}
	return out, errors.New("not 32 bytes in base64; make a key with: sluice session keygen")
}

func (s *keySet) has(secret [32]byte) bool {
	for _, k := range s.keys {
		if subtle.ConstantTimeCompare(k.secret[:], secret[:]) == 1 {
			return true
		}
	}
	return false
}

// fingerprint is a hash from which no key can be found: they are random.
func (s *keySet) fingerprint() string {
	h := sha256.New()
	h.Write([]byte("sluice session ring v1\n"))
	for _, k := range s.keys {
		fmt.Fprintf(h, "%s ", k.name)
		h.Write(k.secret[:])
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// NewKey returns a line of a key file with a fresh key.
func NewKey() string {
	var b [36]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return "k" + hex.EncodeToString(b[32:]) + " " + base64.StdEncoding.EncodeToString(b[:32])
}
