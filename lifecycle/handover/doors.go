package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/sluiceproxy/sluice/internal/synshed"
)

// errNoSocket is a listener without a descriptor; it cannot be handed over.
var errNoSocket = fmt.Errorf("no socket of the system: %w", errors.ErrUnsupported)

// Doors are the listening sockets of a process by name: those that it was given and those
// that it bound. A duplicate of each is held, in no epoll set, so that it can be passed on
// and taken back.
type Doors struct {
	given *Given // what came with the start

	mu      sync.Mutex // guards what follows
	sockets []*door    // in the order of Open
	lent    []string   // a successor that lives has copies of these
	gone    bool       // to the successor: it accepts from them, and we do not
	ours    bool       // the predecessor accepts nothing any more
	left    bool       // by the predecessor: it holds nothing any more
}

// door is one listening socket.
type door struct {
	Held
	inherited bool // from whomever
	fd        int  // the duplicate; -1: let go of
}

// NewDoors returns the doors of a process that was given sockets; nil: none.
func NewDoors(given *Given) *Doors {
	if given == nil {
		given = &Given{}
	}
	return &Doors{given: given, ours: given.Offer == nil, left: given.Offer == nil}
}

// Open returns the socket of that name: the one that was given if it is bound to address
// (host:port or unix:/path), otherwise the one that bind makes. inherited says which.
//
// A predecessor's socket with another address is not used: the configuration has changed,
// and the predecessor closes what nobody takes. One of systemd's is an error, unless it may
// be from its descriptor store, where it is then forgotten.
func (d *Doors) Open(ctx context.Context, name, address string, bind func(context.Context) (net.Listener, error)) (ln net.Listener, inherited bool, err error) {
	g, err := d.given.take(name, address)
	if err != nil {
		return nil, false, err
	}
	held := Held{Name: name, Address: address}
	if g != nil {
		held.Supervised = g.Supervised
		ln = g.listener
	} else if ln, err = bind(ctx); err != nil {
		return nil, false, err
	}
	if _, tcp := ln.(*net.TCPListener); tcp && d.given.stores() {
		held.Supervised = true // a unix socket is not stored: it does not know to where it was moved
	}
	fd, err := duplicate(ln)
	if errors.Is(err, errors.ErrUnsupported) {
		return ln, g != nil, nil // a system where nothing can be handed over
	}
	if err != nil {
		ln.Close()
		return nil, false, fmt.Errorf("duplicate the socket: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sockets = append(d.sockets, &door{Held: held, inherited: g != nil, fd: fd})
	return ln, g != nil, nil
}

// Again returns a new listener on a socket that is still held.
func (d *Doors) Again(name string) (net.Listener, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.door(name)
	if s == nil || s.fd < 0 {
		return nil, fmt.Errorf("the socket %q is not held any more", name)
	}
	ln, err := listenerOf(s.fd, name)
	if err != nil {
		return nil, err
	}
	return ln, detach(ln) // a successor may have died within its own stop
}

// Shared reports whether somebody else may hold the socket: systemd, a predecessor that
// has not let go yet, or a successor. Such a socket is never given a filter (invariant 10).
func (d *Doors) Shared(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.door(name)
	return s != nil && (s.Supervised || s.inherited && !d.left || slices.Contains(d.lent, name))
}

// Supervised reports whether systemd holds the socket: whoever comes next gets it, queue
// and all.
func (d *Doors) Supervised(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.door(name)
	return s != nil && s.Supervised
}

// Drop lets go of the duplicate: the socket is about to be closed for good, or a successor
// has it.
func (d *Doors) Drop(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.door(name); s != nil && s.fd >= 0 {
		closeFD(s.fd)
		s.fd = -1
	}
}

// Theirs reports whether a predecessor accepts from the socket still.
func (d *Doors) Theirs(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.door(name)
	return s != nil && s.inherited && !d.ours
}

// Ours notes that the predecessor accepts nothing any more.
func (d *Doors) Ours() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ours = true
}

// Settle waits, before sockets are left for good, until it is known who keeps them. A
// process that was permitted to admit may be the one that is left with them at any moment:
// its predecessor says whether it is, once it has heard of the stop. Until then this one
// goes on accepting. A process that was never permitted has nothing to wait for.
func (d *Doors) Settle(ctx context.Context) {
	l := d.given.Link
	if l == nil {
		return
	}
	select {
	case <-l.Permitted():
	default:
		return
	}
	select {
	case <-l.Alone():
		d.Left()
	case <-l.Kept():
	case <-ctx.Done():
	}
}

// Left notes that the predecessor holds nothing any more.
func (d *Doors) Left() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = true
}

// Lend notes of which sockets a successor has copies; none: there is no successor.
func (d *Doors) Lend(names []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lent = slices.Clone(names)
}

// Give notes whether a successor accepts from what it has, and we do not.
func (d *Doors) Give(given bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = given
}

// Taken reports whether a successor accepts from the socket, and we do not. One that starts
// accepts from none: who is told to stop meanwhile goes on accepting in its lame duck.
func (d *Doors) Taken(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gone && slices.Contains(d.lent, name)
}

// Inherited lists the sockets that came from a predecessor or from systemd and are used.
func (d *Doors) Inherited() (names []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.sockets {
		if s.inherited {
			names = append(names, s.Name)
		}
	}
	return names
}

// offer lists what a successor gets, with its descriptors. They stay ours.
func (d *Doors) offer() (held []Held, fds []int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.sockets {
		if s.fd >= 0 {
			held, fds = append(held, s.Held), append(fds, s.fd)
		}
	}
	return held, fds
}

// stored lists what systemd should keep. It knows what it holds already.
func (d *Doors) stored() (held []Held, fds []int) {
	if !d.given.stores() {
		return nil, nil
	}
	all, allFDs := d.offer()
	for i, h := range all {
		if h.Supervised {
			held, fds = append(held, h), append(fds, allFDs[i])
		}
	}
	return held, fds
}

func (d *Doors) door(name string) *door {
	for _, s := range d.sockets {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// detach takes a former owner's filter off. A socket that allows none (multipath TCP) has
// none; a unix socket is nobody's to shed.
func detach(ln net.Listener) error {
	tcp, ok := ln.(*net.TCPListener)
	if !ok {
		return nil
	}
	if err := synshed.Detach(tcp); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// sameAddress reports whether a socket at have is what the configuration calls want. Port
// 0 is any port.
func sameAddress(have net.Addr, want string) bool {
	if u, ok := have.(*net.UnixAddr); ok {
		return strings.TrimPrefix(want, "unix:") == u.Name
	}
	tcp, ok := have.(*net.TCPAddr)
	host, port, err := net.SplitHostPort(want)
	if !ok || err != nil {
		return false
	}
	at := tcp.AddrPort()
	if port != "0" && port != fmt.Sprint(at.Port()) {
		return false
	}
	switch host {
	case "":
		return at.Addr().IsUnspecified()
	case "localhost":
		return at.Addr().IsLoopback()
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap() == at.Addr().Unmap()
}
