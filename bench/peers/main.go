//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/sluiceproxy/sluice/bench/peers/load"
	"github.com/sluiceproxy/sluice/bench/peers/origin"
)

// sparePs are the Go threads' places that the client's and the origin's one loop needs
// beside it: without them the scheduler takes the loop's own away whenever it waits.
const sparePs = 3

// The program is also the origin and the client of its own runs: it starts itself.
func main() {
	if len(os.Args) > 1 && os.Args[1] == "origin" {
		runtime.GOMAXPROCS(sparePs)
		exit(origin.Serve(os.Stdin, os.Stdout))
	}
	if len(os.Args) > 2 && os.Args[1] == "load" {
		runtime.GOMAXPROCS(sparePs)
		var cfg load.Config
		if err := json.Unmarshal([]byte(os.Args[2]), &cfg); err != nil {
			exit(err)
		}
		exit(load.Run(cfg, os.Stdin, os.Stdout))
	}
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		exit(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	exit(compare(ctx, o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
