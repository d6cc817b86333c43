package basic

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/internal/yaml"
)

// The limits of a file of users.
const (
	maxFile   = 4 << 20 // bytes
	maxUsers  = 10_000
	maxGroups = 64 // of a user
)

// userSet is what a file says, immutable.
type userSet struct {
	digest digest // of the file
	users  map[string]*user
	order  []*user // never empty
}

type user struct {
	identity authz.Identity
	hash     hash
}

// standIn is whose hash is computed for somebody who does not exist: always the same for a name, and as costly
// as those of the file are.
func (s *userSet) standIn(name digest) *user {
	return s.order[binary.BigEndian.Uint64(name[:])%uint64(len(s.order))]
}

// Status is what the authenticator has loaded.
type Status struct {
	Users    int       // in force
	LoadedAt time.Time // of the users in force; zero if there are none yet
	Err      error     // of the last Load; nil if it was good
	ErrSince time.Time // when Load began to fail
}

// Status returns what is in force and what went wrong since.
func (a *Authenticator) Status() Status { return *a.status.Load() }

// Load reads the file and puts its users in force at once; what was verified by others is forgotten. On an error
// the users in force stay: the error names every fault with its line. Load is safe for concurrent use; changed says
// whether other users are in force than before.
func (a *Authenticator) Load() (changed bool, err error) {
	a.loading.Lock()
	defer a.loading.Unlock()
	defer a.once.Do(func() { close(a.first) })
	status := a.Status()
	set, err := readUsers(a.file)
	if err != nil {
		if status.Err == nil {
			status.ErrSince = time.Now()
		}
		status.Err = err
		a.status.Store(&status)
		return false, err
	}
	old := a.users.Load()
	changed = old == nil || old.digest != set.digest
	if changed {
		a.users.Store(set)
		a.cache.clear()
		status.Users, status.LoadedAt = len(set.users), time.Now()
	}
	status.Err, status.ErrSince = nil, time.Time{}
	a.status.Store(&status)
	return changed, nil
}

// CheckFile says what is wrong with a file of users, as Load would.
func CheckFile(name string) error {
	_, err := readUsers(name)
	return err
}

func readUsers(name string) (*userSet, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read users: %w", err)
	case len(src) > maxFile:
		return nil, fmt.Errorf("read users: %s is larger than %d bytes", name, maxFile)
	}
	return parseUsers(name, src)
}

// parseUsers checks a file. The error lists every fault with its line, and quotes no hash.
func parseUsers(name string, src []byte) (*userSet, error) {
	set := &userSet{digest: sha256.Sum256(src), users: map[string]*user{}}
	lines := map[string]int{}
	faults := &yaml.Faults{}
	at := 0
	fault := func(code yaml.Code, format string, args ...any) {
		faults.Add(yaml.Fault{File: name, Line: at, Col: 1, Code: code, Message: fmt.Sprintf(format, args...)})
	}
	for line := range strings.SplitSeq(string(src), "\n") {
		at++
		line = strings.TrimSuffix(line, "\r")
		if line == "" || line[0] == '#' {
			continue
		}
		who, rest, _ := strings.Cut(line, ":")
		secret, groups, grouped := strings.Cut(rest, ":")
		if !plain(who) || len(who) > maxUser {
			fault(yaml.BadValue, "a line is USER:HASH or USER:HASH:GROUP,GROUP; the user has 1 to %d bytes of UTF-8 without space and control characters", maxUser)
			continue
		}
		if first, twice := lines[who]; twice {
			fault(yaml.DuplicateName, "user %q is defined twice; first in line %d", who, first)
			continue
		}
		lines[who] = at
		u := &user{identity: authz.Identity{Method: "basic", User: who}}
		var err error
		if u.hash, err = parseHash(secret); err != nil {
			fault(yaml.BadValue, "user %q: %v", who, err)
		}
		if grouped {
			u.identity.Groups = strings.Split(groups, ",")
		}
		if len(u.identity.Groups) > maxGroups {
			fault(yaml.OutOfRange, "user %q has %d groups; at most %d", who, len(u.identity.Groups), maxGroups)
		}
		for _, g := range u.identity.Groups {
			if !plain(g) || strings.Contains(g, ":") {
				fault(yaml.BadValue, "user %q: a group is empty, or has a space, a colon or a control character", who)
				break
			}
		}
		set.users[who], set.order = u, append(set.order, u)
	}
	at = 0
	switch n := len(lines); {
	case n > maxUsers:
		fault(yaml.OutOfRange, "%d users; at most %d", n, maxUsers)
	case n == 0 && faults.Count() == 0:
		fault(yaml.Required, "there is no user")
	}
	if err := faults.ErrorOrNil(); err != nil {
		return nil, err
	}
	return set, nil
}

// plain says whether s can be a name in a field of a request.
func plain(s string) bool {
	unfit := func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }
	return s != "" && utf8.ValidString(s) && strings.IndexFunc(s, unfit) < 0
}
