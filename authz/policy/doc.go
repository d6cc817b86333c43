// Package policy reads the operator's policy (clusters, routes and access rules) and
// compiles the rules into programs that decide without allocating. It is pure: no
// files, no clock, no network.
//
//	doc, err := policy.Parse("policy.yaml", src)  // every fault at once, with its place
//	if err != nil {
//		return err                            // nothing was changed
//	}
//	programs, err := policy.Compile(doc)          // one per route, twins shared
//	d := programs.Routes[0].Authorize(identity, request)
//	forward := d.Verdict == authz.Allow           // d.Reason says why, d.Rule which rule
//
// # Rules
//
// A route's policy is one rule or a list of them. A rule has an allow action, a deny
// action or both; an action has blocks (and, or, not, nor) of criteria, and is met if
// any of its blocks is. Access needs an allow that is met and no deny that is: deny
// wins. A route without policy refuses everything. Criteria, matchers and operators are
// those of the Pomerium Policy Language:
//
//	policy:
//	- allow:
//	    and:
//	    - or: [{domain: {is: example.com}}, {groups: {has: eng}}]
//	    - http_method: {in: [GET, HEAD]}
//	    - source_ip: 10.0.0.0/8
//	  deny:
//	    or: [{user: {in: [u-666, u-667]}}]
//
// Beware of the two negations, whose names are not what logicians expect:
//
//	not: [a, b]   is met if a is false AND b is false   (a logician's NOR); also none_of
//	nor: [a, b]   is met if a is false OR  b is false   (a logician's NAND); also not_all_of
//
// # Three values, and a fourth
//
// A criterion is true, false or an error, and every error refuses. A criterion about the
// identity has no answer for a request without one: such an unknown stays unknown
// under not and nor ("everyone but u-1" does not let in who shows no credential), and
// where nothing but unknowns stands between a request and access the verdict is
// Challenge, not Deny. A deny that is unknown challenges as well.
//
// # Limits
//
// A document has at most [MaxSize] bytes a file and bounded numbers of everything in
// it. Values that Parse returns are not to be changed. Programs are immutable and safe
// for concurrent use.
package policy
