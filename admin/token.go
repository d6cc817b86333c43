package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// Bounds of a token, in bytes.
const (
	minToken = 16 // shorter ones can be tried out
	maxToken = 4 << 10
)

// token is a secret in a file that is read again when the file changes. Of the secret
// only its SHA-256 is kept.
type token struct {
	path string

	mu   sync.Mutex // guards what follows; the file is small and local
	seen stamp
	sum  [sha256.Size]byte
	err  error // why there is no token; everybody is refused then
}

// stamp tells versions of a file apart.
type stamp struct {
	size     int64
	modified time.Time
	file     os.FileInfo
}

// newToken reads the token for the first time.
func newToken(path string) (*token, error) {
	t := &token{path: path}
	t.refresh()
	return t, t.err
}

// matches reports whether given is the token now in the file. Both are hashed, so that
// neither their content nor their length shows in the time that it takes.
func (t *token) matches(given string) (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refresh()
	if t.err != nil {
		return false, t.err
	}
	sum := sha256.Sum256([]byte(given))
	return subtle.ConstantTimeCompare(sum[:], t.sum[:]) == 1, nil
}

// refresh reads the file if it is not the one that was read. Call with mu held, or
// before anybody else has t. An old token does not outlive a file that is gone or broken.
func (t *token) refresh() {
	info, err := os.Stat(t.path)
	if err != nil {
		t.err, t.seen = fmt.Errorf("token: %w; see admin.token_file", err), stamp{}
		return
	}
	if t.seen.file != nil && os.SameFile(t.seen.file, info) && t.seen.size == info.Size() && t.seen.modified.Equal(info.ModTime()) {
		return
	}
	t.seen = stamp{info.Size(), info.ModTime(), info}
	secret, err := readToken(t.path)
	if err != nil { // the next time it may be readable without having changed
		t.err, t.seen = fmt.Errorf("token: %w; see admin.token_file", err), stamp{}
		return
	}
	t.sum, t.err = sha256.Sum256([]byte(secret)), nil
}

// readToken reads a secret: the file without the white space around it.
func readToken(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(b))
	switch {
	case len(b) > maxToken:
		return "", fmt.Errorf("%s is longer than %d bytes", path, maxToken)
	case len(secret) < minToken:
		return "", fmt.Errorf("%s has a token of less than %d bytes", path, minToken)
	case strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return "", errors.New(path + " has more than one word, or other characters than a header can carry")
	}
	return secret, nil
}
