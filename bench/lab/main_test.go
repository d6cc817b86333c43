package lab

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
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
	if len(os.Args) > 1 && os.Args[1] == askCommand {
		os.Exit(ask(os.Args[2], strings.Join(os.Args[3:], " ")))
	}
	goleak.VerifyTestMain(m)
}

// askCommand makes this program say a line to a supervisor and print its answer.
const askCommand = "ask-supervisor"

func ask(addr, line string) int {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return 1
	}
	defer c.Close()
	fmt.Fprintln(c, line)
	answer, err := io.ReadAll(c)
	fmt.Print(string(answer))
	if err != nil || strings.HasPrefix(string(answer), "no: ") {
		return 1
	}
	return 0
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
