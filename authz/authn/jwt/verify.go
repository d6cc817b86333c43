package jwt

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json"

	"github.com/sluiceproxy/sluice/authz"
)

// errNoKeys: whether the token is good cannot be known now.
var errNoKeys = errors.New("the issuer's keys are not known")

var (
	errEncoding  = errors.New("it is written in another way than the one that there is")
	errIssuer    = errors.New("the issuer is not one of ours")
	errAlgorithm = errors.New("the algorithm is not one of the issuer's")
	errType      = errors.New("it is another kind of token")
	errCritical  = errors.New("the header has what must be understood, and is not")
	errKey       = errors.New("no key of the issuer fits")
	errAudience  = errors.New("it is for somebody else")
	errTime      = errors.New("it is not valid now")
	errClaims    = errors.New("the claims are malformed")
	errUser      = errors.New("it names no user")
)

// refetchWait is how long one token waits for keys to be fetched, and maxWaiting how many of an issuer do so at a time. Whoever
// can write a header makes such tokens: they must not fill the places of all others.
const (
	refetchWait = 3 * time.Second
	maxWaiting  = 32
)

// verified is a token that is believed.
type verified struct {
	identity *authz.Identity
	until    time.Time
	keys     *KeySet // that vouch for it
	from     Keys
}

func (a *Authenticator) verify(token string) (*verified, error) {
	if !canonical(token) {
		return nil, errEncoding
	}
	jws, err := jose.ParseSignedCompact(token, a.algs)
	if err != nil {
		return nil, err
	}
	claims, err := readClaims(jws.UnsafePayloadWithoutVerification())
	if err != nil {
		return nil, err
	}
	is := a.issuers[claims.issuer]
	if is == nil {
		return nil, errIssuer
	}
	header := jws.Signatures[0].Protected
	if err := is.checkHeader(header); err != nil {
		return nil, err
	}
	until, err := a.checkClaims(is, claims)
	if err != nil {
		return nil, err
	}
	keys, key, err := is.key(header)
	if err != nil {
		return nil, err
	}
	if _, err := jws.Verify(key); err != nil {
		return nil, err
	}
	id, err := is.identity(claims)
	if err != nil {
		return nil, err
	}
	return &verified{identity: id, until: until, keys: keys, from: is.Keys}, nil
}

// canonical reports whether each part is base64url in its one form: a decoder may pass over bits that are
// left over, and then one token could be written in several ways.
func canonical(token string) bool {
	for part := range strings.SplitSeq(token, ".") {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return false
		}
	}
	return true
}

func (is *issuer) checkHeader(h jose.Header) error {
	if !slices.Contains(is.algs, jose.SignatureAlgorithm(h.Algorithm)) {
		return errAlgorithm
	}
	if _, critical := h.ExtraHeaders["crit"]; critical {
		return errCritical
	}
	if _, encoded := h.ExtraHeaders["b64"]; encoded { // RFC 7797 section 7: not in a JWT
		return errCritical
	}
	typ, given := h.ExtraHeaders[jose.HeaderType]
	if !given {
		return nil
	}
	name, _ := typ.(string)
	name = strings.TrimPrefix(strings.ToLower(name), "application/")
	if name != "jwt" && name != "at+jwt" { // RFC 9068
		return errType
	}
	return nil
}

// key finds the key that a token names; without a name there has to be one that fits.
func (is *issuer) key(h jose.Header) (*KeySet, *jose.JSONWebKey, error) {
	set := is.Keys.Current()
	if set != nil {
		if k := set.find(h.KeyID, h.Algorithm); k != nil {
			return set, k, nil
		}
	}
	defer is.waiting.Add(-1)
	if is.waiting.Add(1) > maxWaiting {
		return nil, nil, errNoKeys
	}
	ctx, cancel := context.WithTimeout(context.Background(), refetchWait)
	defer cancel()
	fresh := is.Keys.Refetch(ctx)
	now := is.Keys.Current()
	switch {
	case now == nil:
		return nil, nil, errNoKeys
	case now.find(h.KeyID, h.Algorithm) != nil:
		return now, now.find(h.KeyID, h.Algorithm), nil
	case !fresh:
		return nil, nil, errNoKeys // the issuer may have new ones, and does not say
	}
	return nil, nil, errKey
}

func (a *Authenticator) checkClaims(is *issuer, c *claims) (until time.Time, err error) {
	if !slices.ContainsFunc(c.audience, func(aud string) bool { return slices.Contains(is.Audience, aud) }) {
		return until, errAudience
	}
	now := a.now()
	switch {
	case c.expires.IsZero() || !now.Before(c.expires.Add(a.leeway)):
		return until, errTime
	case !c.notBefore.IsZero() && now.Before(c.notBefore.Add(-a.leeway)):
		return until, errTime
	case !c.issued.IsZero() && now.Before(c.issued.Add(-a.leeway)):
		return until, errTime
	}
	return c.expires.Add(a.leeway), nil
}

// claims are those of a token.
type claims struct {
	issuer                     string
	audience                   []string
	expires, notBefore, issued time.Time
	all                        map[string]any
}

func readClaims(payload []byte) (*claims, error) {
	c := &claims{}
	d := json.NewDecoder(bytes.NewReader(payload)) // refuses a name that is given twice
	d.SetNumberType(json.UnmarshalJSONNumber)
	if err := d.Decode(&c.all); err != nil || c.all == nil {
		return nil, errClaims
	}
	ok := true
	c.issuer, ok = c.all["iss"].(string)
	if !ok {
		return nil, errIssuer
	}
	switch aud := c.all["aud"].(type) {
	case string:
		c.audience = []string{aud}
	case []any:
		for _, v := range aud {
			s, ok := v.(string)
			if !ok {
				return nil, errClaims
			}
			c.audience = append(c.audience, s)
		}
	default:
		return nil, errAudience
	}
	for name, at := range map[string]*time.Time{"exp": &c.expires, "nbf": &c.notBefore, "iat": &c.issued} {
		v, given := c.all[name]
		if !given {
			continue
		}
		if *at, ok = numericDate(v); !ok {
			return nil, errClaims
		}
	}
	return c, nil
}

// maxDate is the end of the year 9999: what is beyond is no date that somebody meant.
const maxDate = 253402300799

// numericDate reads seconds since 1970, maybe with a fraction (RFC 7519 section 2).
func numericDate(v any) (time.Time, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	f, err := n.Float64()
	if err != nil || f < 0 || f > maxDate {
		return time.Time{}, false
	}
	return time.Unix(int64(f), 0), true
}
