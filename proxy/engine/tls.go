package engine

import "crypto/tls"

// Securer is a [Shard] whose connections can become TLS connections (RFC 8446).
type Securer interface {
	Shard
	// StartTLS makes a connection the server's end of a TLS connection, or, with client, the
	// client's. early is what was received and belongs to it already; a copy is kept. Nothing
	// may have been sent on a connection that becomes a server's.
	//
	// The handshake runs beside the loop. How it ended comes by Answer as a [Secured]; until
	// then nothing is received, Fired apart, and what is sent is dropped. From then on Received, EOF, Send
	// and CloseWrite are about plaintext; Queued, Acked and Check count what the network carries;
	// Move is not supported. The handshake has no deadline of its own: arm a timer.
	//
	// After a Secured with an error only Close and Abort make sense, but for [ErrNotTLS].
	StartTLS(id ConnID, cfg *tls.Config, client bool, early []byte)
}

// Secured is how a handshake ended.
type Secured struct {
	State *tls.ConnectionState // never changed; nil with Err
	Err   error
}

// ErrNotTLS is the error of a handshake that a peer did not begin: what came first is no TLS
// record. The connection is as it was before StartTLS: what is sent is sent in the clear.
var ErrNotTLS error = notTLS{}

type notTLS struct{}

func (notTLS) Error() string { return "the peer does not speak TLS" }
