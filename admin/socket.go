package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// place is where a private server listens: a unix socket, or an address.
type place struct {
	unix string // path; empty: TCP
	host string
	port string
}

// parsePlace reads "unix:/path", "/path" or "host:port".
func parsePlace(address string) (place, error) {
	path, isUnix := strings.CutPrefix(address, "unix:")
	if isUnix || strings.HasPrefix(address, "/") {
		if !filepath.IsAbs(path) {
			return place{}, fmt.Errorf("address %q: a unix socket needs an absolute path; see admin.address", address)
		}
		return place{unix: filepath.Clean(path)}, nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "" {
		return place{}, fmt.Errorf("address %q is neither host:port nor unix:/path; see admin.address", address)
	}
	return place{host: host, port: port}, nil
}

// address is what to give to net.Dial.
func (p place) address() (network, address string) {
	if p.unix != "" {
		return "unix", p.unix
	}
	return "tcp", net.JoinHostPort(p.host, p.port)
}

// loopback reports whether nobody outside this host can reach the place. A name other
// than localhost could mean anything.
func (p place) loopback() bool {
	if p.unix != "" || p.host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(p.host)
	return err == nil && ip.IsLoopback()
}

// listen binds the place.
func (p place) listen(ctx context.Context) (net.Listener, error) {
	if p.unix == "" {
		return listenTCP(ctx, net.JoinHostPort(p.host, p.port))
	}
	return listenUnix(ctx, p.unix)
}

// listenUnix binds a unix socket that only its owner can open. The socket is made in a
// directory that nobody else can enter and moved to its place with the right mode:
// between bind and chmod anybody could have connected. One that a dead process left is
// replaced; one that answers is not.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if err := unused(ctx, path); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".s") // mode 0700; short, for paths are bounded
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	made := filepath.Join(dir, "s")
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(false)
	if err := os.Chmod(made, 0o600); err != nil {
		ln.Close()
		return nil, err
	}
	if err := os.Rename(made, path); err != nil {
		ln.Close()
		return nil, err
	}
	return ln, nil
}

// own makes a socket of this place the server's: closing it removes its path, unless keep
// says that it is somebody else's too, or a successor has put its own there.
func (p place) own(ln net.Listener, keep func() bool) net.Listener {
	if p.unix == "" {
		return ln
	}
	l := &unixListener{Listener: ln, path: p.unix, keep: keep}
	l.info, _ = os.Lstat(p.unix) // gone already: then there is nothing to remove
	return l
}

// unused reports who holds a path, if anybody does.
func unused(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is no socket; remove it, or choose another path", path)
	}
	d := net.Dialer{Timeout: time.Second}
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil // left behind
	}
	c.Close()
	return fmt.Errorf("%s: another process listens there", path)
}

// unixListener removes its socket when it is closed.
type unixListener struct {
	net.Listener
	path string
	info os.FileInfo // nil: unknown
	keep func() bool // nil: never
	once sync.Once
}

// Close implements net.Listener.
func (l *unixListener) Close() error {
	l.once.Do(func() {
		if l.info == nil || l.keep != nil && l.keep() {
			return
		}
		if now, err := os.Lstat(l.path); err == nil && os.SameFile(now, l.info) {
			_ = os.Remove(l.path) // one that stays is replaced at the next start
		}
	})
	return l.Listener.Close()
}

// Addr is the path by which it is known.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }
