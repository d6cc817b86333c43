package etcd

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/sluiceproxy/sluice/authz/policysync"
	"github.com/sluiceproxy/sluice/authz/policysync/etcdstore"
	"github.com/sluiceproxy/sluice/authz/policysync/sourcetest"
	"github.com/sluiceproxy/sluice/internal/etcd"
)

// The suites that the store in memory passes, on real servers: each store has a prefix of its own.
func TestConformance(t *testing.T) {
	e := startEnsemble(t, 0)
	var stores atomic.Int64
	sourcetest.RunStore(t, func(t *testing.T) (policysync.Store, func(*testing.T) policysync.Store) {
		prefix := fmt.Sprintf("/conformance/%d", stores.Add(1))
		another := func(t *testing.T) policysync.Store {
			c, err := etcd.Open(etcd.Config{Endpoints: e.endpoints(), Prefix: prefix})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			return etcdstore.New(c)
		}
		return another(t), another
	})
}
