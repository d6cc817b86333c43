// Package front puts a real balancer before the replicas, with its own idea of health and of
// retries: HAProxy with active checks, or nginx, which only notices what fails.
//
//	f, err := front.Start(ctx, front.Config{Kind: "haproxy", Dir: dir, Slots: 2, Ready: "/readyz"})
//	defer f.Close()
//	web, raw, probe := f.Addresses("a", 1) // where the first replica of slot a must listen
//	in, changed := f.In("a.1")             // by HAProxy's own word
//
// It has the shape of package balance towards a plan. Each slot has two sets of addresses in
// turns, so that an old and a new replica fit in side by side.
//
// Limits: nobody says on which replica a request failed. nginx does not say whether a replica
// carried something, so there a restart is proven without that.
package front
