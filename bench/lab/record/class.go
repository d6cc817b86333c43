package record

import "fmt"

// Class is a kind of client.
type Class int

// The classes of the load.
const (
	Short      Class = iota // small GETs over a pool of connections
	Slow                    // GETs that take longer than a lame duck
	KeepAlive               // POSTs on connections that are kept and used in turns
	PerRequest              // GETs on a connection each
	Upload                  // bodies sent in pieces
	WebSocket               // frames, and a Close handshake
	Events                  // server-sent events with a last one
	TCP                     // raw tunnels
	Idle                    // two GETs with a long pause between them on one connection
	H2Post                  // POSTs by HTTP/2 whose bodies cannot be sent twice, on a few connections
	GRPC                    // unary calls
	GRPCStream              // calls with messages in both directions for long
	NumClasses = iota
)

var classNames = [NumClasses]string{"short", "slow", "keep-alive", "per-request", "upload", "websocket", "events", "tcp", "idle", "h2-post", "grpc", "grpc-stream"}

func (c Class) String() string { return classNames[c] }

// ParseClass is the inverse of String.
func ParseClass(s string) (Class, error) {
	for c, name := range classNames {
		if name == s {
			return Class(c), nil
		}
	}
	return 0, fmt.Errorf("no class %q; there are %v", s, classNames)
}

// Classes are all of them.
func Classes() []Class {
	all := make([]Class, NumClasses)
	for i := range all {
		all[i] = Class(i)
	}
	return all
}

// Quick says that an exchange of this class takes no time to speak of, so that a pause
// between two successes is a pause of the service.
func (c Class) Quick() bool {
	return c == Short || c == KeepAlive || c == PerRequest || c == H2Post || c == GRPC
}

// HTTP2 says that its clients speak HTTP/2 by prior knowledge.
func (c Class) HTTP2() bool { return c == H2Post || c == GRPC || c == GRPCStream }
