package proxy

import "github.com/sluiceproxy/sluice/authz"

// Why a stream is ended although nothing is wrong with it: whoever it is for may not keep it open any more.

// streamEnd is such a reason, from a closed set. The zero value ends nothing.
type streamEnd uint8

const (
	goesOn         streamEnd = iota
	sessionRevoked           // Config.Sessions says so
	sessionExpired           // likewise
	policyChanged            // the policy in force does not allow it, or has no route for it
	streamTooOld             // max_stream_age of its route
	numStreamEnds
)

// String is the word in access records, metrics and answers.
func (e streamEnd) String() string {
	switch e {
	case goesOn:
		return "goes_on"
	case sessionRevoked:
		return "session_revoked"
	case sessionExpired:
		return "session_expired"
	case policyChanged:
		return "policy_changed"
	case streamTooOld:
		return "stream_age"
	case numStreamEnds:
	}
	return "invalid"
}

// StreamEndReasons are the reasons for which streams are ended: keys of Stats.StreamsBarred.
func StreamEndReasons() (words []string) {
	for e := goesOn + 1; e < numStreamEnds; e++ {
		words = append(words, e.String())
	}
	return words
}

// text says it to people; the reason of a Close has room for 123 bytes.
func (e streamEnd) text() string {
	switch e {
	case sessionRevoked:
		return "the session was revoked"
	case sessionExpired:
		return "the session is over"
	case policyChanged:
		return "the policy does not allow this any more"
	case streamTooOld:
		return "this stream is as old as one of its route may become"
	case goesOn, numStreamEnds:
	}
	return "invalid"
}

// Error makes it what an access record says of a response that is not finished.
func (e streamEnd) Error() string { return e.text() }

// endOf is what Sessions say of a session. What is not known ends it, too.
func endOf(word string) streamEnd {
	switch word {
	case "":
		return goesOn
	case "session_expired":
		return sessionExpired
	}
	return sessionRevoked
}

// sessionOf is the session that an identity lives from; nil: it has none.
func sessionOf(id *authz.Identity) *authz.Session {
	if id == nil {
		return nil
	}
	return id.Session
}

// denial is the answer where none has begun.
func (x *exchange) denial(why streamEnd) response {
	switch why {
	case sessionRevoked, sessionExpired:
		return response{status: 401, reason: why.String(), text: why.text(), fields: x.route.challenges}
	case streamTooOld:
		return response{status: 503, reason: why.String(), text: why.text(), fields: retryAfter}
	case policyChanged, goesOn, numStreamEnds:
	}
	return response{status: 403, reason: why.String(), text: why.text()}
}
