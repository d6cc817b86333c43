// Package e2e tests the built sluice binary from outside, as its clients, upstreams,
// balancers and operators see it. It is a module of its own and imports nothing of the
// product, so that it cannot know more than they do.
//
//	go test ./...                    # the default suite, under 6 minutes on 2 busy cores
//	go test -short ./...             # smoke, under 40 seconds
//	E2E_STOPS=100 E2E_HEAVY=1 go test -timeout 60m ./...
//	E2E_LOSSLESS=20 go test -run TestLossless .   # restarts, each in a network namespace (make lossless)
//	E2E_RACE=1 go test ./...         # the binary under the race detector
//	E2E_HEAVY=1 E2E_SHOTS=/tmp go test -run TestDashboard .   # the dashboard in Chromium, with pictures to look at
//
// One file per guarantee, named after it: g1 nothing is forwarded before the policy, g2
// the order of a stop, g3 nothing is lost, g4 everything is bounded, g5 the story is told
// to the end, g6 liveness depends on nobody, g7 a reload cuts nothing, g9 it fails closed.
//
// Lost means: a request sent without a complete response, or a tunnel that was reset or
// ended before its client ended it. A refused dial is not lost, but counted. What a stop
// must look like is one function over what was observed ([judge] in timeline_test.go);
// three cheats (folder cheat) show that it can say no.
//
// HTTP/2 is played by Go's two transports, curl, h2load, h2spec and grpc-go, in the heavy set by grpcurl and Chromium as
// well, WebSockets also by ws from npm, and the dashboard is looked at by axe-core from there. Logins go to a provider by script, in
// the heavy set also to dex (folder dex) and to oidc-provider from npm (folder oidcprovider). What is written in Go and is not a tool of the machine's is a module of its own
// (folders h2spec, grpc and grpcurl), which the tests build, so that what it needs is needed by nobody else.
//
// Every process listens on ports that the kernel picks, in a directory of its own, and
// ends with its test; every wait has a deadline. Tests that mostly wait run beside each
// other (t.Parallel); those that load the machine or measure it run alone.
package e2e
