package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/sluiceproxy/sluice/authz/session"
)

// Sessions is what is told about sessions. Nobody's session is in it.
type Sessions struct {
	Ring         string       `json:"ring"`                 // hash of the keys in force: equal where the ring is; empty: none were read
	Keys         int          `json:"keys"`                 // in force
	Seals        string       `json:"seals,omitempty"`      // name of the key that seals
	SealsNext    string       `json:"seals_next,omitempty"` // name of the one that will within seconds, when all processes with the file know it
	KeysLoaded   time.Time    `json:"keys_loaded_at,omitzero"`
	KeysError    string       `json:"keys_error,omitempty"`   // of the file; what was in force stays
	KeysWarning  string       `json:"keys_warning,omitempty"` // who else can read it
	Begun        uint64       `json:"begun_total"`            // sessions that began here
	Renewed      uint64       `json:"renewed_total"`          // cookies that were sealed anew
	Revoked      uint64       `json:"revocations_total"`      // made here
	RevokedState RevokedState `json:"revocations"`

	opened map[string]uint64 // cookies, by what came of them
}

// RevokedState is how fresh the list is of sessions that were ended.
type RevokedState struct {
	File         string  `json:"file"`
	Entries      int     `json:"entries"`           // in force
	Pending      int     `json:"pending"`           // in force here, and not on disk yet
	StaleSeconds float64 `json:"stale_seconds"`     // since it was last read well
	Denies       bool    `json:"denies"`            // it is too old, and no session is let in (sessions.revocations.when_stale)
	Error        string  `json:"error,omitempty"`   // why it is not read well
	Unsaved      string  `json:"unsaved,omitempty"` // why what is pending is

	Fleet *SharedState `json:"fleet,omitempty"` // none: the list is not shared through etcd
}

// SharedState is how fresh the list is that the fleet shares.
type SharedState struct {
	Store        string  `json:"store"`
	Pending      bool    `json:"pending"`         // something is in force here that it does not have yet
	StaleSeconds float64 `json:"stale_seconds"`   // since it was last read well
	Denies       bool    `json:"denies"`          // it is too old, and no session is let in (sessions.revocations.fleet.when_stale)
	Error        string  `json:"error,omitempty"` // of the last look
}

// SessionsOf is the account of a keeper in the form of this package.
func SessionsOf(k *session.Keeper) *Sessions {
	stats, ring, list := k.Stats(), k.Ring().Status(), k.Revocations().Status()
	text := func(err error) string {
		if err == nil {
			return ""
		}
		return err.Error()
	}
	var shared *SharedState
	if feed, ok := k.Revocations().FeedStatus(); ok {
		shared = &SharedState{Store: feed.Name, Pending: feed.Pending, StaleSeconds: feed.Stale.Seconds(), Denies: feed.Denies, Error: text(feed.Err)}
	}
	return &Sessions{
		Ring: ring.Hash, Keys: ring.Keys, Seals: ring.Seals, SealsNext: ring.Next, KeysLoaded: ring.LoadedAt, KeysError: text(ring.Err), KeysWarning: ring.Warning,
		Begun: stats.Begun, Renewed: stats.Renewed, Revoked: stats.Revoked,
		RevokedState: RevokedState{File: list.File, Entries: list.Entries, Pending: list.Pending, StaleSeconds: list.Stale.Seconds(), Denies: list.Denies,
			Error: text(list.Err), Unsaved: text(list.PendingErr), Fleet: shared},
		opened: stats.Opened,
	}
}

// collectSessions reads what became of sessions.
func (c *collector) collectSessions(e emitter) {
	s := read(c.s.Sessions)
	if s == nil {
		s = &Sessions{}
	}
	for _, result := range session.Results() {
		e.value(sessionsOpened, float64(s.opened[result]), result)
	}
	e.value(sessionsBegun, float64(s.Begun))
	e.value(sessionsRenewed, float64(s.Renewed))
	e.value(sessionsRevoked, float64(s.Revoked))
	e.value(sessionsEntries, float64(s.RevokedState.Entries))
	e.value(sessionsPending, float64(s.RevokedState.Pending))
	e.value(sessionsStale, s.RevokedState.StaleSeconds)
	if shared := s.RevokedState.Fleet; shared != nil {
		e.value(sessionsFleetStale, shared.StaleSeconds)
	}
	if s.Ring != "" {
		e.value(sessionsKeys, 1, s.Ring)
	}
}

// revokeAction is the body of POST /sessions/revoke.
type revokeAction struct {
	Kind   string `json:"kind"`             // sid, sub, upstream, all
	Issuer string `json:"issuer,omitempty"` // of sub and upstream
	Value  string `json:"value,omitempty"`  // of all but all
}

// ErrNoSuchIssuer is what Hooks.Revoke returns where nobody logs in at the issuer: whoever asked would think that a user is out.
var ErrNoSuchIssuer = errors.New("nobody logs in at that issuer here")

// Revoked is what POST /sessions/revoke answers.
type Revoked struct {
	Revoked bool `json:"revoked"` // true: in force here, and on disk for the others
	Entries int  `json:"entries"` // of the list
}

// postRevoke ends sessions. One that counts here and is not on disk is an error: who asked must not think it done.
func (s *Server) postRevoke(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Hooks.Revoke == nil {
		missing(w)
		return
	}
	var a revokeAction
	if err := readBody(w, r, &a); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	what := session.Revocation{Kind: a.Kind, Issuer: a.Issuer, Value: a.Value}
	if err := what.Check(); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if err := s.cfg.Hooks.Revoke(r.Context(), what); errors.Is(err, ErrNoSuchIssuer) {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	} else if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	answer := Revoked{Revoked: true}
	if now := read(s.cfg.Hooks.Sessions); now != nil {
		answer.Entries = now.RevokedState.Entries
	}
	reply(w, http.StatusOK, answer)
}

// Revoke ends sessions: a *RefusedError with code 500 if that counts in the process and is not on disk.
func (c *Client) Revoke(ctx context.Context, r session.Revocation) (done Revoked, err error) {
	return done, c.do(ctx, http.MethodPost, "/sessions/revoke", revokeAction{Kind: r.Kind, Issuer: r.Issuer, Value: r.Value}, &done)
}
