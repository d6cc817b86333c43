package goshutdown

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// Config is one proxy.
type Config struct {
	Listen, To, Probes string
	Delay              time.Duration // not ready, still serving
	Grace              time.Duration // of Shutdown
}

// Run serves until ctx is done, and then stops as everybody advises.
func Run(ctx context.Context, cfg Config) error {
	web, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return err
	}
	probes, err := net.Listen("tcp", cfg.Probes)
	if err != nil {
		return errors.Join(err, web.Close())
	}
	var leaving atomic.Bool
	srv := &http.Server{Handler: proxyTo(cfg.To), ReadHeaderTimeout: 10 * time.Second}
	health := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if leaving.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	var running sync.WaitGroup
	failed := make(chan error, 1)
	running.Go(func() { failed <- srv.Serve(web) }) // ends with Shutdown
	running.Go(func() { _ = health.Serve(probes) }) // ends with Close
	defer running.Wait()
	defer health.Close()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	leaving.Store(true)
	time.Sleep(cfg.Delay) // what a preStop hook or a shutdown delay is
	grace, cancel := context.WithTimeout(context.Background(), cfg.Grace)
	defer cancel()
	err = srv.Shutdown(grace)
	_ = srv.Close()
	return err
}

func proxyTo(upstream string) http.Handler {
	p := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: upstream})
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost, t.MaxIdleConns, t.Proxy = 512, 1024, nil
	p.Transport = t
	p.FlushInterval = -1
	return p
}
