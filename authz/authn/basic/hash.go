package basic

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// hash is what is at rest of a password. matches takes as long for a wrong password as for the right one.
type hash interface{ matches(password []byte) bool }

// What a hash may cost.
const (
	minBcrypt, maxBcrypt = 10, 14
	maxMemory            = 64 << 10 // KiB
	maxPasses, maxLanes  = 4, 4
	bcryptLooksAt        = 72 // bytes of a password
)

var errNoHash = errors.New("not a hash by bcrypt ($2a$, $2b$, $2y$) or argon2id; make one with: htpasswd -nB -C 12 USER")

// parseHash reads a hash. Its errors never quote it.
func parseHash(s string) (hash, error) {
	switch {
	case strings.HasPrefix(s, "$2a$"), strings.HasPrefix(s, "$2b$"), strings.HasPrefix(s, "$2y$"):
		return parseBcrypt(s)
	case strings.HasPrefix(s, "$argon2id$"):
		return parseArgon2(s)
	}
	return nil, errNoHash
}

type bcryptHash []byte

// matches refuses a password of which bcrypt would look at a part only: others would do as well.
func (h bcryptHash) matches(password []byte) bool {
	whole := len(password) <= bcryptLooksAt
	return bcrypt.CompareHashAndPassword(h, password[:min(len(password), bcryptLooksAt)]) == nil && whole
}

func parseBcrypt(s string) (hash, error) {
	const length, head = 60, len("$2y$12$")
	if len(s) != length || s[head-1] != '$' || strings.Trim(s[head:], "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return nil, errors.New("not a whole hash by bcrypt, which has 60 characters")
	}
	cost, err := strconv.ParseUint(s[head-3:head-1], 10, 8)
	if err != nil || cost < minBcrypt || cost > maxBcrypt {
		return nil, fmt.Errorf("the cost of bcrypt is not %d to %d", minBcrypt, maxBcrypt)
	}
	return bcryptHash(s), nil
}

type argon2Hash struct {
	memory, passes uint32 // KiB
	lanes          uint8
	salt, sum      []byte
}

func (h *argon2Hash) matches(password []byte) bool {
	sum := argon2.IDKey(password, h.salt, h.passes, h.memory, h.lanes, uint32(len(h.sum)))
	return subtle.ConstantTimeCompare(sum, h.sum) == 1
}

// parseArgon2 reads the PHC string format: $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH.
func parseArgon2(s string) (hash, error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[2] != "v=19" {
		return nil, errors.New("not argon2id of version 19: $argon2id$v=19$m=..,t=..,p=..$SALT$HASH")
	}
	params := strings.Split(parts[3], ",")
	if len(params) != 3 {
		return nil, errors.New("argon2id wants m, t and p, in that order")
	}
	var got [3]uint32
	for i, bound := range []struct {
		name string
		max  uint64
	}{{"m", maxMemory}, {"t", maxPasses}, {"p", maxLanes}} {
		text, named := strings.CutPrefix(params[i], bound.name+"=")
		n, err := strconv.ParseUint(text, 10, 32)
		if !named || err != nil || n < 1 || n > bound.max {
			return nil, fmt.Errorf("%s of argon2id is not 1 to %d", bound.name, bound.max)
		}
		got[i] = uint32(n)
	}
	h := &argon2Hash{memory: got[0], passes: got[1], lanes: uint8(got[2])}
	if h.memory < 8*got[2] {
		return nil, errors.New("m of argon2id is less than 8 KiB for each of p")
	}
	raw := base64.RawStdEncoding.Strict()
	var err1, err2 error
	h.salt, err1 = raw.DecodeString(parts[4])
	h.sum, err2 = raw.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(h.salt) < 8 || len(h.salt) > 64 || len(h.sum) < 16 || len(h.sum) > 64 {
		return nil, errors.New("argon2id wants a salt of 8 to 64 bytes and a hash of 16 to 64, in base64 without padding")
	}
	return h, nil
}
