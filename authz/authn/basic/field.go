package basic

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"

	"github.com/sluiceproxy/sluice/authz"
)

// The longest that is looked at, in bytes.
const (
	maxUser       = 255
	maxPassword   = 512
	maxCredential = maxUser + 1 + maxPassword
)

// credential is a user and a password as sent. It lives on the stack.
type credential struct {
	text  [maxCredential + 2]byte // room for what a decoder writes behind the end
	n     int                     // bytes of text in use
	colon int                     // where the user ends
}

func (c *credential) user() []byte     { return c.text[:c.colon] }
func (c *credential) password() []byte { return c.text[c.colon+1 : c.n] }

// find looks for the credential of a request. Pending: there is one to be looked at.
func (c *credential) find(req *authz.Request) authz.Verdict {
	if req.Fields == nil {
		return authz.Deny
	}
	value, count := req.Fields.Field("authorization")
	switch {
	case count == 0:
		return authz.Deny
	case count > 1:
		return authz.Challenge
	}
	return c.parse(value)
}

var strict = base64.StdEncoding.Strict()

// parse reads the value of an Authorization field (RFC 7617 section 2). Deny: it is of another scheme;
// Challenge: it is malformed. An empty password may be sent, an empty user not.
func (c *credential) parse(value []byte) authz.Verdict {
	const scheme = "basic"
	value = bytes.Trim(value, " \t")
	if len(value) < len(scheme) || !bytes.EqualFold(value[:len(scheme)], []byte(scheme)) {
		return authz.Deny
	}
	value = value[len(scheme):]
	if len(value) > 0 && value[0] != ' ' && value[0] != '\t' {
		return authz.Deny // "BasicX"
	}
	value = bytes.TrimLeft(value, " ")
	if len(value) == 0 || len(value) > base64.StdEncoding.EncodedLen(maxCredential) || bytes.ContainsAny(value, "\r\n") { // which the decoder skips
		return authz.Challenge
	}
	n, err := strict.Decode(c.text[:], value)
	if err != nil || n > maxCredential {
		return authz.Challenge
	}
	text := c.text[:n]
	c.n, c.colon = n, bytes.IndexByte(text, ':')
	if c.colon < 1 || c.colon > maxUser || n-c.colon-1 > maxPassword || !utf8.Valid(text) {
		return authz.Challenge
	}
	for _, b := range text {
		if b < ' ' || b == 0x7F { // "MUST NOT contain any control characters"
			return authz.Challenge
		}
	}
	return authz.Pending
}
