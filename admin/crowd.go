package admin

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// crowd bounds the connections of a server. When one too many comes, the one that has
// waited longest without a request is closed, so that a crowd of silent connections
// cannot keep a probe out; if all are busy, the newcomer is.
type crowd struct {
	max int

	mu      sync.Mutex             // guards what follows
	members map[net.Conn]time.Time // since when it waits for a request; zero: busy
}

func newCrowd(max int) *crowd {
	return &crowd{max: max, members: make(map[net.Conn]time.Time)}
}

// changed is the ConnState hook of http.Server. It is called for StateNew by the accept
// loop before it accepts the next one, so the bound holds at every moment.
func (c *crowd) changed(conn net.Conn, state http.ConnState) {
	if loser := c.note(conn, state); loser != nil {
		// Outside the lock, and no error is of interest: whoever it is, it is out.
		_ = loser.Close()
	}
}

// note records a change and returns who has to go; nil: nobody.
func (c *crowd) note(conn net.Conn, state http.ConnState) (loser net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		if len(c.members) >= c.max {
			loser = c.longest()
			if loser == nil {
				return conn
			}
			delete(c.members, loser)
		}
		c.members[conn] = time.Now()
	case http.StateIdle:
		if _, ok := c.members[conn]; ok {
			c.members[conn] = time.Now()
		}
	case http.StateActive:
		if _, ok := c.members[conn]; ok {
			c.members[conn] = time.Time{}
		}
	case http.StateClosed, http.StateHijacked:
		delete(c.members, conn)
	}
	return loser
}

// longest is who waits for a request the longest. Call with mu held.
func (c *crowd) longest() (longest net.Conn) {
	for conn, since := range c.members {
		if !since.IsZero() && (longest == nil || since.Before(c.members[longest])) {
			longest = conn
		}
	}
	return longest
}
