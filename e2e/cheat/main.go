// Command cheat is a server that stops badly in one of three ways, so that the tests of
// the stop can show that they notice. It answers every request itself, and /readyz on a
// second listener, and logs where it listens as the product does.
//
//	cheat exit     exits at once on SIGTERM
//	cheat shed     flips readiness and closes the door at once, then finishes
//	cheat stall    flips readiness and accepts, and answers nobody any more
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cheat:", err)
		os.Exit(1)
	}
}

// lingers is how long shed and stall live after SIGTERM.
const lingers = time.Second

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want one of exit, shed, stall; got %q", args)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	var stopping, stalled atomic.Bool
	web, err := listen("listener", "web", func(w http.ResponseWriter, r *http.Request) {
		if stalled.Load() {
			<-r.Context().Done() // or the exit of the process
			return
		}
		fmt.Fprintf(w, "%s %s by ", r.Method, r.URL.Path)
	})
	if err != nil {
		return err
	}
	_, err = listen("component", "probes", func(w http.ResponseWriter, _ *http.Request) {
		if stopping.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	if err != nil {
		return err
	}
	<-signals
	switch args[0] {
	case "exit":
		return nil
	case "shed":
		stopping.Store(true)
		ctx, cancel := context.WithTimeout(context.Background(), lingers)
		defer cancel()
		_ = web.Shutdown(ctx)
		<-ctx.Done()
		return nil
	case "stall":
		stopping.Store(true)
		stalled.Store(true)
		time.Sleep(lingers)
		return nil
	}
	return fmt.Errorf("want one of exit, shed, stall; got %q", args)
}

// listen serves h on a free port until the process exits, and logs the address.
func listen(key, name string, h http.HandlerFunc) (*http.Server, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.Serve(ln) }() // ends with the process
	slog.New(slog.NewJSONHandler(os.Stderr, nil)).Info("listening", key, name, "address", ln.Addr().String())
	return s, nil
}
