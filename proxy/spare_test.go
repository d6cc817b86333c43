package proxy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
	"github.com/sluiceproxy/sluice/proxy/route"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// With many endpoints, idle upstream connections would pile up on each; there may be no
// more upstream connections than downstream ones, and nobody is refused for it.
func TestIdleUpstreamsAreBounded(t *testing.T) {
	const most, endpoints = 3, 10
	w := newWalk(t, Config{MaxConnections: most})
	w.open()
	var configs []upstream.Config
	var specs []route.Spec
	for i := range endpoints {
		name := fmt.Sprintf("up:%d", i)
		configs = append(configs, upstream.Config{Name: name, Endpoints: []string{name}})
		specs = append(specs, route.Spec{Name: name, Hosts: []string{"*"}, Path: route.PathSpec{Exact: "/" + name}})
		w.net.Listen(name).Accept(func(s *sim.Sock) {
			s.SetEvents(sim.Events{Data: func(b []byte) { s.Write([]byte(ok)) }, EOF: func() { s.Close() }})
		})
	}
	clusters, _ := w.core.upstreams.Update(configs)
	table, err := route.Compile(specs)
	if err != nil {
		t.Fatal(err)
	}
	snap := &Snapshot{table: table}
	for _, s := range specs {
		snap.routes = append(snap.routes, Route{Name: s.Name, chain: &chain{}, Cluster: clusters[s.Name], Authorizer: allowAll{}, stats: w.core.book.route(s.Name)})
	}
	w.core.gate.Store(snap)
	var clients []*client
	for range most {
		clients = append(clients, w.dial("web"))
	}
	for round := range 3 * endpoints {
		for i, c := range clients {
			fmt.Fprintf(writer{c.Sock}, "GET /up:%d HTTP/1.1\r\nHost: a\r\n\r\n", (round+i)%endpoints)
		}
		for _, c := range clients {
			w.until("an answer", func() bool { return strings.Count(c.got, "200 OK") == round+1 })
		}
		w.net.Run(time.Second, func() bool { return w.core.Stats().UpstreamsOpen <= most })
		if n := w.core.Stats().UpstreamsOpen; n > most {
			t.Fatalf("round %d: %d upstream connections, want at most %d", round, n, most)
		}
	}
	w.driver.Close()
	w.until("nothing is counted any more", func() bool { return w.core.Stats().UpstreamsOpen == 0 })
}
