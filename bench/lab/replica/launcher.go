package replica

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// ErrCannot says that this kind of proxy has no such thing.
var ErrCannot = errors.New("this proxy cannot do that")

// Settings are the same for every replica of a run, and for every proxy.
type Settings struct {
	UpstreamWeb string // address
	UpstreamRaw string // empty: no raw tunnels
	LameDuck    time.Duration
	Drain       time.Duration // then the rest is cut
	Upgrades    bool          // it will be upgraded in place
	// Hold lets connections wait in the kernel while it starts, where it can, and not be refused:
	// for balancers that do not ask whether it is ready.
	Hold bool
}

// Spec is one replica to start.
type Spec struct {
	Name            string
	Dir             string // its own, existing
	Web, Raw, Probe string // addresses to bind; Raw is empty where there are no raw tunnels
	Settings
	// SyncDelay is how late the policy is there, for proxies that have one.
	SyncDelay time.Duration
}

// Identity tells one process from its successor.
type Identity struct {
	PID        int       `json:"pid,omitempty"`
	Generation int       `json:"generation,omitempty"`
	Started    time.Time `json:"started,omitzero"`
	Said       string    `json:"said,omitempty"` // what a command of the user's printed
}

// Same says that two are the same process.
func (i Identity) Same(o Identity) bool {
	return i.PID == o.PID && i.Generation == o.Generation && i.Said == o.Said && i.Started.Equal(o.Started)
}

func (i Identity) String() string {
	switch {
	case i.Said != "":
		return i.Said
	case i.Generation > 0:
		return fmt.Sprintf("pid %d generation %d", i.PID, i.Generation)
	}
	return fmt.Sprintf("pid %d of %s", i.PID, i.Started.Format("15:04:05.000"))
}

// Launcher is a kind of proxy.
type Launcher interface {
	Name() string
	// Version is what the program says of itself; an error: it is not installed.
	Version(ctx context.Context) (string, error)
	// Raw says whether it carries raw TCP.
	Raw() bool
	// HTTP2 says whether it takes HTTP/2 by prior knowledge where it takes HTTP/1.1, and carries calls of gRPC.
	HTTP2() bool
	// Start returns once the process runs; it need not be ready yet.
	Start(ctx context.Context, s Spec) (Instance, error)
}

// Instance is one replica: a process, or a line of processes that replace each other.
type Instance interface {
	Ready() string // URL that answers 200 while it is ready
	Timeline() *Timeline
	Identity(ctx context.Context) (Identity, error)
	// Stop ends it in good order, as its own documentation advises, and returns when it is gone.
	Stop(ctx context.Context) error
	// Upgrade replaces the process in place; ErrCannot: there is no such thing.
	Upgrade(ctx context.Context) error
	// Kill ends it at once and returns when it is gone. It may be called again.
	Kill() error
	// Ended says that the process that served has ended.
	Ended() bool
	// Tail is the end of its log.
	Tail() string
}

// PolicySource is an Instance whose policy can be taken away and given back.
type PolicySource interface {
	BreakPolicy() error
	RestorePolicy() error
}

// lastPort is below the range from which Linux takes the ports of clients (ip_local_port_range).
const lastPort = 32_000

// FreeAddress is a loopback address with a port that nobody uses, from below the range from
// which the kernel takes ports of clients: one of those might take it before it is bound.
func FreeAddress(from int) (addr string, next int, err error) {
	for port := from; port < lastPort; port++ {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		_ = ln.Close()
		return addr, port + 1, nil
	}
	return "", 0, fmt.Errorf("no free port between %d and %d", from, lastPort)
}
