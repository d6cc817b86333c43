package handover

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// firstFD is the first descriptor that is passed (sd_listen_fds(3)).
const firstFD = 3

// Given is what a process was started with: sockets, and if a predecessor started it, what
// that one said.
type Given struct {
	Offer *Offer // nil: no predecessor
	Link  *Link  // nil with Offer

	notify string // NOTIFY_SOCKET, of whoever started us
	store  bool   // systemd keeps descriptors for us

	mu      sync.Mutex // guards what follows
	sockets []*given
	surplus []string // sockets that systemd may keep for us, and that nobody wants
}

// given is a socket that was passed and not yet claimed.
type given struct {
	Held
	listener net.Listener
}

// environment is the part of the environment that Receive reads: the seam of tests.
type environment struct {
	get   func(string) string
	unset func(string)
	pid   int
	first int // descriptor
}

// Receive reads what the process was started with and takes it out of the environment, so
// that no child mistakes it for its own. Call it once, early, before other descriptors are
// opened. Sockets lose any filter of a former owner. An error says that what was passed
// makes no sense; nothing is used then.
func Receive() (*Given, error) {
	return receive(environment{get: os.Getenv, unset: func(name string) { _ = os.Unsetenv(name) }, pid: os.Getpid(), first: firstFD})
}

func receive(env environment) (*Given, error) {
	g := &Given{notify: env.get("NOTIFY_SOCKET")}
	text, pid, count, names := env.get(offerVariable), env.get("LISTEN_PID"), env.get("LISTEN_FDS"), env.get("LISTEN_FDNAMES")
	if n, err := strconv.Atoi(env.get("FDSTORE")); err == nil && n > 0 {
		g.store = true
	}
	for _, name := range []string{offerVariable, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		env.unset(name)
	}
	if pid != strconv.Itoa(env.pid) { // not for us
		if text != "" {
			return nil, fmt.Errorf("%s is set and LISTEN_PID is not this process: a predecessor starts its successor by listen-exec", offerVariable)
		}
		return g, nil
	}
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > 1<<10 {
		return nil, fmt.Errorf("LISTEN_FDS is %q: not a number of descriptors", count)
	}
	if text != "" {
		g.Offer = &Offer{}
		if err := json.Unmarshal([]byte(text), g.Offer); err != nil {
			return nil, fmt.Errorf("read %s: %w", offerVariable, err)
		}
	}
	return g, g.adopt(env.first, n, strings.Split(names, ":"))
}

// adopt makes listeners of n descriptors from first on.
func (g *Given) adopt(first, n int, names []string) error {
	var errs []error
	for i := range n {
		name := "unknown"
		if i < len(names) && names[i] != "" {
			name = names[i]
		}
		if g.Offer != nil && name == linkName {
			g.Link = newLink(adoptFile(first+i, linkName))
			continue
		}
		ln, err := adoptListener(first+i, name)
		if err == nil {
			err = detach(ln)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("descriptor %d (%s) was passed by LISTEN_FDS: %w", first+i, name, err))
			continue
		}
		held := Held{Name: name, Supervised: g.Offer == nil}
		if g.Offer != nil {
			for _, h := range g.Offer.Sockets {
				if h.Name == name {
					held = h
				}
			}
		}
		g.sockets = append(g.sockets, &given{held, ln})
	}
	if g.Offer != nil && g.Link == nil {
		errs = append(errs, errors.New("the predecessor passed no link"))
	}
	return errors.Join(errs...)
}

// stores reports whether systemd keeps descriptors for us: FDSTORE says how many it would
// (systemd 254 and later).
func (g *Given) stores() bool { return g.store && g.Supervisor() != "" }

// Supervisor is the NOTIFY_SOCKET of whoever supervises.
func (g *Given) Supervisor() string {
	if g.Offer != nil {
		return g.Offer.Supervisor
	}
	return g.notify
}

// take claims the socket of a name; nil: there is none, or none that is wanted.
func (g *Given) take(name, address string) (*given, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var found *given
	rest := g.sockets[:0]
	for _, s := range g.sockets {
		switch {
		case s.Name != name:
			rest = append(rest, s)
			continue
		case found != nil:
			return nil, fmt.Errorf("two sockets called %q were passed, and a listener has one: use one [::] address for both families, or two listeners", name)
		}
		found = s
	}
	g.sockets = rest
	if found == nil || found.fits(address) {
		return found, nil
	}
	at := found.listener.Addr()
	found.listener.Close()
	g.surplus = append(g.surplus, name)
	if g.Offer == nil && !g.store {
		return nil, fmt.Errorf("the socket %q that systemd passed is bound to %s, not to %s: make ListenStream= and the configuration agree", name, at, address)
	}
	return nil, nil
}

// fits reports whether the socket is the one that the configuration calls address.
func (s *given) fits(address string) bool {
	if s.Address != "" && s.Address == address {
		return true
	}
	return sameAddress(s.listener.Addr(), address)
}

// Unclaimed closes what nobody took and returns its names.
func (g *Given) Unclaimed() (names []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, s := range g.sockets {
		s.listener.Close()
		names = append(names, s.Name)
	}
	g.sockets, g.surplus = nil, append(g.surplus, names...)
	return names
}

// Surplus lists what systemd need not keep any more: what was passed and is not used. A
// name that another socket has by now is stored anew under it after that.
func (g *Given) Surplus() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.surplus)
}
