package world

import (
	"math/rand/v2"

	"github.com/sluiceproxy/sluice/proxy"
)

// h2Plan is what of HTTP/2 a history has. It is chosen by a random source of its own, so that the histories without
// stay what they were.
type h2Plan struct {
	clients   bool        // some clients speak it, beside the others
	upstreams bool        // the upstreams of the web listeners speak it, and nothing else
	limits    proxy.HTTP2 // of clients
}

// Of so many histories one has such clients, and of those whose cluster allows it one such upstreams.
const (
	h2ClientsIn   = 3
	h2UpstreamsIn = 4
)

func planH2(opt Options) (p h2Plan) {
	if opt.Scenario != nil {
		return h2Plan{}
	}
	r := rand.New(rand.NewPCG(opt.Seed, 0x42))
	p.clients = r.IntN(h2ClientsIn) == 0
	p.upstreams = r.IntN(h2UpstreamsIn) == 0 && variants[opt.Seed%uint64(len(variants))].limit == 0
	p.limits.MaxStreams = []int{4, 16, 128}[r.IntN(3)]
	if r.IntN(6) == 0 {
		p.limits.MaxRequests = 1 + r.IntN(6)
	}
	return p
}

// tell has the loops say goodbye to HTTP/2 connections, as the server does when a stop begins.
func (w *world) tell() {
	if w.h2.clients {
		w.core.Tell()
	}
}
