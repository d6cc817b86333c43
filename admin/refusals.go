package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/sluiceproxy/sluice/proxy"
)

// Refusal is GET /refusals/{id}: a request that routes or rules refused lately, as they saw it.
type Refusal struct {
	ID          string       `json:"id"`
	Time        time.Time    `json:"time"`
	Method      string       `json:"method"`
	Host        string       `json:"host"`
	Path        string       `json:"path"` // in its normal form, without the query
	Truncated   bool         `json:"truncated,omitempty"`
	SourceIP    string       `json:"source_ip,omitempty"` // with ?peers=1
	Route       string       `json:"route,omitempty"`     // none: none was found
	Status      int          `json:"status"`
	Reason      string       `json:"reason"`
	Rule        *int         `json:"rule,omitempty"`        // whose block decided
	Policy      string       `json:"policy"`                // version
	Preflight   bool         `json:"preflight,omitempty"`   // it was a CORS-preflight request
	Identity    *Identity    `json:"identity,omitempty"`    // with ?peers=1
	Certificate *Certificate `json:"certificate,omitempty"` // with ?peers=1
}

// Identity is who asked.
type Identity struct {
	Method string              `json:"method"` // which authenticator vouched
	User   string              `json:"user"`
	Email  string              `json:"email,omitempty"`
	Groups []string            `json:"groups,omitempty"`
	Claims map[string][]string `json:"claims,omitempty"`
}

// Certificate is what the client has shown of itself.
type Certificate struct {
	Fingerprint string   `json:"fingerprint"`
	SPKIHash    string   `json:"spki_hash"`
	URIs        []string `json:"uri,omitempty"`
	DNSNames    []string `json:"dns,omitempty"`
	Emails      []string `json:"email,omitempty"`
}

// refusalTimeout bounds the wait for the loops.
const refusalTimeout = time.Second

func (s *Server) getRefusal(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Hooks.Refusal == nil {
		missing(w)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), refusalTimeout)
	defer cancel()
	found, err := s.cfg.Hooks.Refusal(ctx, r.PathValue("id"))
	if found == nil && err != nil {
		refuse(w, http.StatusServiceUnavailable, "not all loops have answered; ask again")
		return
	}
	if found == nil {
		refuse(w, http.StatusNotFound, "no request with that ID was refused by routes or rules lately; only the last few hundred are kept, and only here")
		return
	}
	reply(w, http.StatusOK, refusalOf(found, showPeers(r)))
}

func refusalOf(f *proxy.Refusal, peers bool) Refusal {
	v := Refusal{ID: f.ID, Time: f.Time, Method: f.Method, Host: f.Host, Path: f.Path, Truncated: f.Truncated, Route: f.Route, Status: f.Status, Reason: f.Reason, Policy: f.Policy, Preflight: f.Preflight}
	if f.Rule >= 0 {
		v.Rule = &f.Rule
	}
	if !peers {
		return v
	}
	v.SourceIP = f.Source.String()
	if id := f.Identity; id != nil {
		v.Identity = &Identity{Method: id.Method, User: id.User, Email: id.Email, Groups: id.Groups, Claims: id.Claims}
	}
	if c := f.Certificate; c != nil {
		v.Certificate = &Certificate{Fingerprint: c.Fingerprint, SPKIHash: c.SPKIHash, URIs: c.URIs, DNSNames: c.DNSNames, Emails: c.Emails}
	}
	return v
}

// Refusal asks why a request was refused: a *RefusedError with code 404 if that is not known.
func (c *Client) Refusal(ctx context.Context, id string, peers bool) (r Refusal, err error) {
	return r, c.do(ctx, http.MethodGet, "/refusals/"+url.PathEscape(id)+"?"+withPeers(url.Values{}, peers), nil, &r)
}
