// Package route finds the route of a request: an immutable [Table] that costs the
// same with 10 routes and with 100,000, and the two normalisers, [Normalize] for
// paths and [NormalizeHost] for authorities, that give the table, the policy and
// the upstream one and the same spelling.
//
//	t, err := route.Compile([]route.Spec{
//		{Name: "app", Hosts: []string{"app.example.com"}, Path: route.PathSpec{Prefix: "/"}},
//	})
//	host, _, err := route.NormalizeHost(hostBuf[:0], authority)  // "App.Example.com.:443"
//	path, err := route.Normalize(pathBuf[:0], rawPath, route.PathOptions{})
//	if i, outcome := t.Match(host, path, "GET"); outcome == route.Found {
//		forward(i) // index into the specs
//	}
//
// # Precedence
//
// The host decides first: an exact host, else the longest wildcard ("*.example.com"
// is every host below example.com, at any depth, and not example.com itself), else any
// host. Then the path: an exact path, else the longest prefix. Then the method: a route
// that names it, else a route without methods.
//
// A decision is never taken back: the most specific host owns all its paths, and the
// most specific path owns all its methods. A request that a narrow route refuses does
// not fall through to a wider one, which may well be the public one.
//
// A prefix is made of whole segments: "/a" is /a and /a/b, not /ab. A trailing slash
// in a prefix says nothing: "/a/" is the same prefix, so that the access rule of
// /admin/ cannot be avoided by asking for /admin.
//
// # Guarantees and limits
//
// Match, Normalize and NormalizeHost allocate nothing (an IPv6 literal aside, and
// buffers without room). The cost of Match depends on the labels of the host and the
// segments of the deepest prefix of that host, never on the number of routes nor on
// the length of a hostile path. The package imports nothing of ours and does no I/O.
package route
