package etcdtest

import (
	"crypto/rand"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// Cluster is one store with members that answer for it.
type Cluster struct {
	store   *store
	members []*Member
}

// Start starts n members, each on a port of its own. They end with the test. Options are those of their
// servers: grpc.Creds for TLS.
func Start(t testing.TB, n int, options ...grpc.ServerOption) *Cluster {
	t.Helper()
	c := &Cluster{store: newStore()}
	for i := range n {
		m := &Member{store: c.store, id: uint64(i + 1), options: options}
		if err := m.listen("127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		c.members = append(c.members, m)
	}
	t.Cleanup(c.stop)
	return c
}

func (c *Cluster) stop() {
	for _, m := range c.members {
		m.Down()
	}
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	for _, l := range c.store.leases {
		l.timer.Stop()
	}
}

// Endpoints are the addresses of all members, also of those that are down.
func (c *Cluster) Endpoints() (list []string) {
	for _, m := range c.members {
		list = append(list, m.address)
	}
	return list
}

// Member is one of them, from 0 on.
func (c *Cluster) Member(i int) *Member { return c.members[i] }

// Down and Up do the same to all members.
func (c *Cluster) Down() {
	for _, m := range c.members {
		m.Down()
	}
}

// Up is what ends Down.
func (c *Cluster) Up(t testing.TB) {
	t.Helper()
	for _, m := range c.members {
		m.Up(t)
	}
}

// Compact forgets all that was replaced or deleted before now, and ends watches that would need it.
func (c *Cluster) Compact(t testing.TB) {
	t.Helper()
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	if c.store.compacted == c.store.revision {
		return
	}
	if err := c.store.compact(c.store.revision); err != nil {
		t.Fatal(err)
	}
}

// Full takes the space for writes away, or gives it back; reads and deletions go on.
func (c *Cluster) Full(full bool) {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	c.store.full = full
}

// Users are who may log in from now on, with their passwords. Nobody stays logged in.
func (c *Cluster) Users(passwords map[string]string) {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	c.store.users = passwords
	clear(c.store.tokens)
}

// ForgetTokens is what a restart does to logins: who was logged in has to log in again.
func (c *Cluster) ForgetTokens() {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	clear(c.store.tokens)
}

// ExpireLeases ends all leases at once, with their keys, as if nobody had kept them alive.
func (c *Cluster) ExpireLeases() {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	for id := range c.store.leases {
		c.store.end(id)
	}
}

// Value is what a key holds now; nil if it is not there. It asks no member.
func (c *Cluster) Value(key string) []byte {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	if kv := c.store.at(key, c.store.revision); kv != nil {
		return kv.Value
	}
	return nil
}

// newToken is a login of its own.
func newToken() string { return rand.Text() }

// Put writes a key, whatever the members do.
func (c *Cluster) Put(key, value string) {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	change := c.store.begin()
	if _, err := change.put(&pb.PutRequest{Key: []byte(key), Value: []byte(value)}); err != nil {
		panic("BUG: etcdtest: a put without a lease cannot be refused: " + err.Error())
	}
	change.end()
}
