package world

import (
	"bytes"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/policy"
)

// Odd versions of the policy have both endpoints and allow /flip; even ones have lost
// the second endpoint and refuse /flip. So a request can tell under which version it
// was decided.
const document = `
clusters: {app: {endpoints: [%[1]s], %[2]s}%[6]s}
routes:
- {name: public, path: {prefix: /pub}, cluster: app, %[5]s policy: [{allow: {and: [{accept: true}]}}]}
- {name: keyed, path: {prefix: /key}, cluster: app, authenticate: [%[3]s], policy: [{allow: {and: [{authenticated_user: true}]}}]}
- {name: denied, path: {prefix: /no}, cluster: app, policy: [{deny: {and: [{accept: true}]}}]}
- {name: flip, path: {prefix: /flip}, cluster: app, policy: [{%[4]s: {and: [{accept: true}]}}]}
tcp_routes:
- {listener: db, cluster: %[7]s, %[5]s policy: [{allow: {and: [{source_ip: 10.0.0.0/8}]}}]}
`

// documents are parsed once for all histories; nothing writes to a parsed document.
// The bad one cannot be compiled: nobody configured its authenticator.
var documents = sync.OnceValue(func() (docs [4 * len(variants)]struct{ odd, even, bad *policy.Document }) {
	class, raw, tunnels := "", "", "app"
	parse := func(endpoints, cluster, authenticator, flip string) *policy.Document {
		doc, err := policy.Parse("p.yaml", fmt.Appendf(nil, document, endpoints, cluster, authenticator, flip, class, raw, tunnels))
		if err != nil {
			panic("BUG: the policy of the simulation does not parse: " + err.Error())
		}
		return doc
	}
	for i := range docs {
		v := variants[i%len(variants)]
		cluster := v.cluster
		class, raw, tunnels = "", "", "app"
		if i/len(variants)%2 == 1 {
			class = "drain: {deadline: " + classLimit.String() + ", order: last},"
		}
		if i >= 2*len(variants) {
			cluster, tunnels = v.h2, "raw" // what tunnels carry is no HTTP/2
			raw = `, raw: {endpoints: ["up:1"], outlier: {off: true}}`
		}
		docs[i].odd = parse(`"up:1", "up:2"`, cluster, "api_key", "allow")
		docs[i].even = parse(`"up:1"`, cluster, "api_key", "deny")
		docs[i].bad = parse(`"up:2"`, cluster, "nobody", "allow")
	}
	return docs
})

// documents are those of this history.
func (w *world) documents() struct{ odd, even, bad *policy.Document } {
	i := w.opt.Seed % uint64(len(variants))
	if w.classed() {
		i += uint64(len(variants))
	}
	if w.h2.upstreams {
		i += 2 * uint64(len(variants))
	}
	return documents()[i]
}

// versionAt is a version of the policy and when it came into force.
type versionAt struct {
	n  int
	at time.Time
}

// applyPolicy stages version n and enforces it a moment later.
func (w *world) applyPolicy(n int) {
	docs := w.documents()
	doc := docs.odd
	if n%2 == 0 {
		doc = docs.even
	}
	enforce, err := w.core.Stage(strconv.Itoa(n), doc)
	if err != nil {
		w.violate("policy %d was rejected: %v", n, err)
		return
	}
	w.net.After(w.net.Between(0, 50*time.Millisecond), func() {
		if n%2 == 0 && w.ups[1].working() {
			w.net.Count["endpoint left in use"]++
		}
		enforce()
		w.versions = append(w.versions, versionAt{n, w.net.Now()})
		w.trace("policy %d in force", n)
		w.event(func(now time.Time) { w.machine.TargetReady(now, "policy") })
	})
}

// rejectPolicy offers a version that cannot be compiled: the one in force stays.
func (w *world) rejectPolicy() {
	w.net.Count["policy rejected"]++
	was := w.core.Version()
	_, err := w.core.Stage("bad", w.documents().bad)
	if err == nil {
		w.violate("a policy that cannot be compiled was accepted")
	}
	if now := w.core.Version(); now != was {
		w.violate("a rejected policy changed the version in force from %q to %q", was, now)
	}
}

// inForce reports whether ok held for a version in force at some moment from since on.
func (w *world) inForce(since time.Time, ok func(version int) bool) bool {
	for i, v := range w.versions {
		if i+1 < len(w.versions) && w.versions[i+1].at.Before(since) {
			continue // replaced before
		}
		if ok(v.n) {
			return true
		}
	}
	return false
}

func odd(version int) bool  { return version%2 == 1 }
func even(version int) bool { return version%2 == 0 }

// goodKey is what clients of keyed routes show, or begins that: each such key is a session.
const goodKey = "good"

// keys is an authenticator whose answers sometimes have to be fetched off the loop.
type keys struct{ w *world }

func (keys) Name() string            { return "api_key" }
func (keys) ChallengeHeader() string { return `Bearer realm="sim"` }

func (k keys) Try(r *authz.Request) (*authz.Identity, authz.Verdict) {
	if k.w.net.Chance(0.5) {
		k.w.net.Count["pending stage"]++
		return nil, authz.Pending
	}
	return k.Resolve(r)
}

func (k keys) Resolve(r *authz.Request) (*authz.Identity, authz.Verdict) {
	k.w.stagePanics(r)
	v, n := r.Fields.Field("x-api-key")
	switch {
	case n == 0:
		return nil, authz.Deny
	case bytes.HasPrefix(v, []byte(goodKey)):
		return &authz.Identity{Method: "api_key", User: "u-1", Session: k.w.sessionOf(string(v))}, authz.Allow
	}
	return nil, authz.Challenge
}
