package world

import (
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

// What may not go on: streams of sessions that were revoked, and of routes that a new version of the policy has closed.

// streamsOver is how long the proxy may take to end them, and endLate how long what it does may take to be seen.
const streamsOver = time.Second

func (w *world) endLate() time.Duration { return streamsOver + 8*w.net.MaxDelay }

// revocations implements authz.Sessions: a session ends that is named, or that began before a moment.
type revocations struct{ w *world }

// Ended implements authz.Sessions.
func (v revocations) Ended(s *authz.Session, now time.Time) string {
	switch w := v.w; {
	case w.revoked[s.ID], s.Began.Before(w.revokedAt):
		return "session_revoked"
	case !now.Before(s.Expires):
		return "session_expired"
	}
	return ""
}

// sessionOf is what an identity of this world lives from.
func (w *world) sessionOf(key string) *authz.Session {
	now := w.net.Now()
	return &authz.Session{ID: key, Began: now, Expires: now.Add(time.Hour)}
}

// revokeAll ends every session that there is.
func (w *world) revokeAll() {
	w.net.Count["sessions revoked"]++
	w.trace("all sessions are revoked")
	w.revokedAt = w.net.Now()
	w.core.Recheck()
}

// mayEnd reports whether what began at since, as an open stream of that path, may have been ended because it might not
// go on.
func (w *world) mayEnd(path string, since time.Time) bool {
	switch path {
	case "flip":
		return w.inForce(since, even)
	case "key":
		return !w.revokedAt.IsZero() && !since.After(w.revokedAt)
	}
	return false
}

// ends is mayEnd for a request: the answer to it has no length.
func (w *world) ends(r *request) bool { return r.endless && w.mayEnd(r.path, r.sentAt) }

// mustBeOver reports whether a tunnel that was open at a moment has to be closed by now.
func (w *world) mustBeOver(path string, open time.Time) bool {
	now := w.net.Now()
	switch path {
	case "flip":
		last := w.versions[len(w.versions)-1]
		return even(last.n) && now.Sub(last.at) > w.endLate()
	case "key":
		return open.Before(w.revokedAt) && now.Sub(w.revokedAt) > w.endLate()
	}
	return false
}

// scriptSessions revokes all sessions now and then.
func (w *world) scriptSessions(stop time.Duration) {
	n := w.net
	if n.Chance(0.4) {
		n.After(n.Between(500*time.Millisecond, stop+4*time.Second), w.revokeAll)
	}
}
