// Peers compares what Sluice costs with what nginx, HAProxy, Caddy and a forwarder that
// looks at nothing cost: CPU time per request first of all.
//
//	make bench-peers                                   # everything; half an hour
//	go run ./bench/peers -quick                        # a minute, while developing
//	go run ./bench/peers -rows get64,get16k -rounds 3 -peers nginx,haproxy,floor -engine epoll
//
// In each round every entrant runs once, in random order, in a fresh process, with the
// same origin and client. What disturbs the machine for a while then disturbs all, and the
// ratios are taken round by round. How to read the figures: bench/README.md.
//
// Guarantees: every byte of every body is compared; one wrong byte fails the run. All
// traffic is on loopback; every process ends with the run; everything is bounded in time
// and count. Limits: Linux.
package main
