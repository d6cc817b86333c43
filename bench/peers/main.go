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

// part plays the origin or the client if the arguments say so: the program starts itself.
func part(args []string) (played bool, err error) {
	switch {
	case len(args) == 1 && args[0] == "origin":
		runtime.GOMAXPROCS(sparePs)
		return true, origin.Serve(os.Stdin, os.Stdout)
	case len(args) == 2 && args[0] == "load":
		runtime.GOMAXPROCS(sparePs)
		var cfg load.Config
		if err := json.Unmarshal([]byte(args[1]), &cfg); err != nil {
			return true, err
		}
		return true, load.Run(cfg, os.Stdin, os.Stdout)
	}
	return false, nil
}

func main() {
	if played, err := part(os.Args[1:]); played {
		exit(err)
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
