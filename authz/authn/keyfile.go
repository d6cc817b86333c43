package authn

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/internal/yaml"
)

// The limits of a key file.
const (
	maxKeyFile = 16 << 20 // bytes
	maxKeys    = 100_000
)

// Status is what the authenticator has loaded.
type Status struct {
	Keys     int       // in force
	LoadedAt time.Time // of the keys in force; zero if there are none yet
	Err      error     // of the last Load; nil if it was good
	ErrSince time.Time // when Load began to fail
}

// Status returns what is in force and what went wrong since.
func (a *APIKeys) Status() Status { return *a.status.Load() }

// Load reads the key file and puts its keys in force at once. On an error the keys
// in force stay: the error names every fault with its place. Load is safe for
// concurrent use; changed says whether other keys are in force than before.
func (a *APIKeys) Load() (changed bool, err error) {
	a.loading.Lock()
	defer a.loading.Unlock()
	defer a.once.Do(func() { close(a.first) })
	status := a.Status()
	set, err := readKeys(a.config.File)
	if err != nil {
		if status.Err == nil {
			status.ErrSince = a.config.Now()
		}
		status.Err = err
		a.status.Store(&status)
		a.failed.Store(true)
		return false, err
	}
	old := a.keys.Load()
	changed = old == nil || old.digest != set.digest
	if changed {
		a.keys.Store(set)
		status.Keys, status.LoadedAt = len(set.keys), a.config.Now()
	}
	status.Err, status.ErrSince = nil, time.Time{}
	a.status.Store(&status)
	a.failed.Store(false)
	return changed, nil
}

func readKeys(name string) (*keySet, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read API keys: %w", err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("read API keys: %w", err)
	}
	return parseKeys(name, src)
}

// keyEntry is a key as written.
type keyEntry struct {
	ID      string              `yaml:"id,required"`
	SHA256  string              `yaml:"sha256,required"`
	User    string              `yaml:"user"`
	Email   string              `yaml:"email"`
	Groups  []string            `yaml:"groups"`
	Claims  map[string][]string `yaml:"claims"`
	Expires time.Time           `yaml:"expires"`

	place yaml.Place
}

func (k *keyEntry) UnmarshalYAML(n yaml.Node, r *yaml.Reader) {
	type plain keyEntry
	r.Decode(n, (*plain)(k))
	k.place = r.Place(n)
}

// CheckFile says what is wrong with a key file, as Load would.
func CheckFile(name string) error {
	_, err := readKeys(name)
	return err
}

// parseKeys checks a key file. The error lists every fault with its place.
func parseKeys(name string, src []byte) (*keySet, error) {
	doc, err := yaml.Parse(name, src, yaml.Limits{Size: maxKeyFile, Values: 16 * maxKeys})
	if err != nil {
		return nil, err
	}
	var file struct {
		Keys []keyEntry `yaml:"keys,required"`
	}
	faults := &yaml.Faults{}
	faults.AddError(name, doc.Decode(&file))
	set := &keySet{digest: sha256.Sum256(src), keys: make(map[[sha256.Size]byte]*key, len(file.Keys))}
	if len(file.Keys) > maxKeys {
		faults.Add(yaml.Fault{File: name, Code: yaml.OutOfRange, Message: fmt.Sprintf("%d keys; at most %d", len(file.Keys), maxKeys)})
		return nil, faults
	}
	ids := map[string]yaml.Place{}
	digests := map[[sha256.Size]byte]string{}
	for i := range file.Keys {
		k := &file.Keys[i]
		if k.ID == "" || k.SHA256 == "" {
			continue // required: reported
		}
		if first, ok := ids[k.ID]; ok {
			faults.Add(k.place.Fault("key %q is defined twice; first at %s", k.ID, first).Of(yaml.DuplicateName))
		} else {
			ids[k.ID] = k.place
		}
		digest, err := parseDigest(k.SHA256)
		if err != nil {
			faults.Add(k.place.Fault("key %q: sha256: %v", k.ID, err))
			continue
		}
		if first, ok := digests[digest]; ok {
			faults.Add(k.place.Fault("keys %q and %q are the same key", first, k.ID).Of(yaml.DuplicateName))
			continue
		}
		digests[digest] = k.ID
		set.keys[digest] = k.key()
	}
	if err := faults.ErrorOrNil(); err != nil {
		return nil, err
	}
	return set, nil
}

func (k *keyEntry) key() *key {
	user := k.User
	if user == "" {
		user = k.ID
	}
	return &key{
		identity: authz.Identity{Method: "api_key", User: user, Email: k.Email, Groups: k.Groups, Claims: k.Claims},
		expires:  k.Expires,
	}
}

// emptyDigest is that of the empty string: what a script writes when its variable was
// not set.
var emptyDigest = sha256.Sum256(nil)

func parseDigest(s string) (out [sha256.Size]byte, err error) {
	b, err := hex.DecodeString(s)
	switch {
	case err != nil || len(b) != len(out):
		return out, errors.New("not 64 hex digits; make it with: printf %s \"$KEY\" | sha256sum")
	case [sha256.Size]byte(b) == emptyDigest:
		return out, errors.New("the digest of an empty key")
	}
	return [sha256.Size]byte(b), nil
}
