// Package bench keeps what was measured: dated results under results, and how to
// measure again.
//
//	make bench       # the hot paths with allocations; the form of results/*-hot-paths.txt
//	make heavy       # a hundred stops of each kind, a million requests, 100,000 routes
//	make bench-peers # beside nginx, HAProxy, Caddy and a bare forwarder; see README.md
//
// Figures are of one machine on one day and are worth their ratios only. No test
// asserts an absolute time.
package bench
