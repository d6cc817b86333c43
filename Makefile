# `make help` lists what there is. Everything runs on loopback and needs no server.
GO      ?= go
SEEDS   ?= 16000
LINES   ?= 1500
STOPS   ?= 4
FROM    ?= 16001
FUZZ    ?= 60s
PEERS   ?=
LAB     ?=
RESTARTS ?= 20
DEFAULTS ?= 0
BIN     := bin/sluice

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
EXHAUSTIVE  := github.com/nishanths/exhaustive/cmd/exhaustive@v0.17.1
# Every switch over a state names every state: a new one must be thought of everywhere.
EXHAUSTIVE_FLAGS := -d -constignore '\.num[A-Z]\w*$$' -typeonly '\.(State|Class|Cause|Verdict|Status|Process|Probe|ActionKind|connState|upState|stage|Outcome)$$'

.DEFAULT_GOAL := help
.PHONY: help setup build small run test check lint race sim-test e2e score-peers sim lossless httpdrain-compare fuzz bench bench-peers pgo lab lab-peers heavy cover clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what the tests need and this machine lacks (nginx, wrk, h2load, gcc)
	./e2e/setup.sh

build: ## build bin/sluice, static
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w" -o $(BIN) ./cmd/sluice

# What a first look does not need is not compiled for it: CEL, the client of etcd, and the profile by which the release is optimised.
SMALL := nocel,noetcd

small: ## build bin/sluice-small, static, without CEL and etcd (tags nocel, noetcd): less to compile
	CGO_ENABLED=0 $(GO) build -tags $(SMALL) -pgo=off -trimpath -ldflags "-s -w" -o $(BIN)-small ./cmd/sluice

run: small ## run the proxy in front of a built-in upstream, with a policy to play with
	./$(BIN)-small demo

test: setup lint race sim-test e2e ## everything that must pass; installs what it needs first

check: lint ## fast: lint, short race tests, e2e smoke
	$(GO) test -race -pgo=off -short -timeout 300s ./...
	cd e2e && $(GO) test -short -timeout 300s ./...

lint: ## formatting, vet, static analysis, the arrows of the house
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "gofmt -l says:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags $(SMALL) ./cmd/... ./authz/...
	cd e2e && $(GO) vet ./...
	cd e2e/grpc && $(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) run $(EXHAUSTIVE) $(EXHAUSTIVE_FLAGS) ./...
	$(GO) test -count=1 ./internal/house

race: ## every package test under the race detector; allocation tests without it
	$(GO) test -race -pgo=off -timeout 900s ./...
	$(GO) test -count=1 -run 'Alloc' -timeout 300s ./proxy/... ./drain ./authz/...

sim-test: ## $(SEEDS) histories of the whole proxy, $(LINES) of upgrades, and every mutant, by simulation
	$(GO) test -count=1 -v -timeout 1200s -run 'Histories|Mutants|Replay|Regress' ./internal/sim/world -args -seeds $(SEEDS)
	GOGC=1600 $(GO) test -count=1 -v -timeout 1200s -run 'Histories|Mutants' ./internal/sim/line -args -seeds $(LINES)

e2e: ## the built binary with real clients and upstreams, on both drivers
	cd e2e && E2E_TOOLS=required E2E_STOPS=$(STOPS) $(GO) test -count=1 -timeout 1500s ./...
	cd e2e && E2E_TOOLS=required E2E_DRIVER=portable E2E_STOPS=2 $(GO) test -count=1 -timeout 1500s ./...

score-peers: ## the case tables against nginx, HAProxy and Caddy beside Sluice; result in bench/results
	./e2e/setup.sh peers
	mkdir -p bench/results
	cd e2e && E2E_PEERS=1 E2E_PEERS_REPORT=../bench/results/$$(date +%F)-case-tables.md $(GO) test -count=1 -v -timeout 1500s -run TestPeersScore .

sim: ## simulate for ever, from seed $(FROM) on (Ctrl-C ends it): $(SEEDS) histories of the proxy, $(LINES) of upgrades, and so on; a failing seed prints its replay command
	$(GO) test -c -o bin/world.test ./internal/sim/world
	$(GO) test -c -o bin/line.test ./internal/sim/line
	@world=$(FROM); line=$(FROM); while :; do \
		(cd internal/sim/world && ../../../bin/world.test -test.run Histories -test.timeout 0 -test.v -from $$world -seeds $(SEEDS)) || exit 1; \
		(cd internal/sim/line && GOGC=1600 ../../../bin/line.test -test.run Histories -test.timeout 0 -test.v -from $$line -seeds $(LINES)) || exit 1; \
		world=$$((world + $(SEEDS))); line=$$((line + $(LINES))); done

fuzz: ## every fuzz target for $(FUZZ)
	@set -e; for pkg in $$(grep -rl --include='*_test.go' '^func Fuzz' . | grep -v '^./e2e' | xargs -n1 dirname | sort -u); do \
		for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$pkg/*_test.go | sed 's/func //'); do \
			echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZ) $$pkg; done; done

bench: ## benchmarks of the hot paths, with allocations
	$(GO) test -run '^$$' -bench . -benchmem ./proxy/h1 ./proxy/h2 ./proxy/route ./proxy/engine/wheel ./authz/policy ./proxy ./drain

bench-peers: ## CPU per request beside nginx, HAProxy, Caddy and the floor, in bench/results (flags: PEERS="-rows get64")
	GO="$(GO)" ./bench/peers/setup.sh bin
	mkdir -p bench/results
	$(GO) run ./bench/peers -out auto $(PEERS)

# Without sha256: what the compiler inlines of it for a profile makes its sum escape to the heap, twice for each API key.
pgo: ## take the CPU profile that the compiler optimizes the binary with anew: cmd/sluice/default.pgo
	d=$$(mktemp -d) && $(GO) run ./bench/peers -profiles $$d -rows get64,get16k,churn,tcpconn,tls64,handshake,h2c,grpc -modes off,shipped -peers '' -pairings 1 -rounds 2 -seconds 10 && \
		$(GO) tool pprof -proto -ignore 'crypto/.*sha256' $$d/*.pprof > $$d/merged && mv $$d/merged cmd/sluice/default.pgo && rm -r $$d

lab: build ## restart two replicas under load and see what that costs, in bin/lab.html too (flags: LAB="--plan surge")
	$(GO) build -o bin/ ./cmd/sluice-lab
	./bin/sluice-lab roll --sluice $(BIN) --html bin/lab.html --json bin/lab.json --requests 30000 $(LAB)

lab-peers: build ## the same for every proxy that is installed, side by side, in bench/results
	GO="$(GO)" ./bench/peers/setup.sh bin
	mkdir -p bench/results
	$(GO) build -o bin/ ./cmd/sluice-lab
	./bin/sluice-lab roll --sluice $(BIN) --proxy all --plan sequential,upgrade --repeat 2 $(LAB) | tee bench/results/$$(date +%F)-lab-peers.txt

lossless: ## restarts with every class of client at once, each in a network namespace of its own: $(RESTARTS) a mode, $(DEFAULTS) at the shipped defaults
	mkdir -p bench/results
	cd e2e && E2E_LOSSLESS=$(RESTARTS) E2E_LOSSLESS_DEFAULTS=$(DEFAULTS) E2E_LOSSLESS_REPORT=../bench/results/$$(date +%F)-lossless.md \
		$(GO) test -count=1 -v -timeout 0 -run 'TestLossless' .

httpdrain-compare: ## stops of a Go server by http.Server.Shutdown and by drain/httpdrain, same load, side by side (STOPS=20)
	$(GO) test -count=1 -v -run 'TestCompare' ./drain/httpdrain -args -stops $(or $(STOPS),20)

heavy: ## long campaigns: 100 stops each, a million requests, 100,000 routes; results in bench/results
	mkdir -p bench/results
	./e2e/setup.sh browser
	./e2e/setup.sh prometheus
	cd e2e/platforms && $(GO) test -count=1 ./...
	cd e2e/kubelet && $(GO) test -count=1 -v ./...
	cd e2e/dex && $(GO) vet ./...
	cd e2e/opa && $(GO) test -count=1 -v ./... -args -pairs 100000
	cd e2e/etcd && $(GO) vet ./... && ETCD_REPORT=../../bench/results/$$(date +%F)-etcd-kill-matrix.md $(GO) test -count=1 -v -timeout 1800s ./...
	cd e2e && E2E_ETCD=real E2E_ROLLS=4 $(GO) test -count=1 -v -timeout 3600s -run 'TestRollsUnderLoad|Fleet' .
	EXPLORE_DEPTH=9 $(GO) test -count=1 -v -run TestEveryState ./drain ./lifecycle
	cd e2e && E2E_HEAVY=1 E2E_STOPS=100 $(GO) test -count=1 -v -timeout 7200s ./... 2>&1 | tee ../bench/results/heavy-$$(date +%F).txt

cover: ## coverage of the product's packages
	$(GO) test -coverpkg=./... -coverprofile=bin/cover.out ./... && $(GO) tool cover -func bin/cover.out | tail -1

clean: ## remove what was built
	rm -rf bin
