package lab

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/bench/lab/peers"
	"github.com/sluiceproxy/sluice/bench/lab/peers/goshutdown"
)

// TestMain is also the proxy under test, when a replica starts this program.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == peers.GoShutdownCommand {
		os.Exit(serve(os.Args[2:]))
	}
	goleak.VerifyTestMain(m)
}

func serve(args []string) int {
	var cfg goshutdown.Config
	f := flag.NewFlagSet("", flag.ContinueOnError)
	f.StringVar(&cfg.Listen, "listen", "", "")
	f.StringVar(&cfg.To, "to", "", "")
	f.StringVar(&cfg.Probes, "probes", "", "")
	f.DurationVar(&cfg.Delay, "delay", 0, "")
	f.DurationVar(&cfg.Grace, "grace", 0, "")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	err := f.Parse(args)
	if err == nil {
		err = goshutdown.Run(ctx, cfg)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
