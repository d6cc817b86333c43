// Command member is one server of etcd, for the tests of this module: the server as its Go module has it, with what a test needs to set.
package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "member:", err)
		os.Exit(1)
	}
}

func run() error {
	cfg := embed.NewConfig()
	var client, peer, advertise string
	flag.StringVar(&cfg.Name, "name", "", "of the member")
	flag.StringVar(&cfg.Dir, "dir", "", "of its data")
	flag.StringVar(&client, "client", "", "URL for clients")
	flag.StringVar(&peer, "peer", "", "URL at which it listens for the other members")
	flag.StringVar(&advertise, "advertise", "", "URL at which the others reach it: that of a relay")
	flag.StringVar(&cfg.InitialCluster, "cluster", "", "name=URL of all members")
	flag.Int64Var(&cfg.QuotaBackendBytes, "quota", 0, "of the data, in bytes; 0: the default")
	flag.StringVar(&cfg.ClientTLSInfo.CertFile, "cert", "", "shown to clients; empty: no TLS")
	flag.StringVar(&cfg.ClientTLSInfo.KeyFile, "key", "", "of that certificate")
	flag.StringVar(&cfg.ClientTLSInfo.TrustedCAFile, "ca", "", "of certificates that clients must show; empty: none")
	flag.Parse()
	cfg.ClientTLSInfo.ClientCertAuth = cfg.ClientTLSInfo.TrustedCAFile != ""
	for _, u := range []struct {
		text string
		to   *[]url.URL
	}{{client, &cfg.ListenClientUrls}, {client, &cfg.AdvertiseClientUrls}, {peer, &cfg.ListenPeerUrls}, {advertise, &cfg.AdvertisePeerUrls}} {
		parsed, err := url.Parse(u.text)
		if err != nil {
			return err
		}
		*u.to = []url.URL{*parsed}
	}
	cfg.LogLevel, cfg.LogOutputs = "error", []string{"stderr"}
	cfg.TickMs, cfg.ElectionMs = 50, 500
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-e.Server.ReadyNotify():
		fmt.Println("ready")
	case err := <-e.Err():
		return err
	case <-stop:
		e.Close()
		return nil
	case <-time.After(time.Minute):
		e.Close()
		return fmt.Errorf("not ready within a minute")
	}
	select {
	case err := <-e.Err():
		return err
	case <-stop:
		e.Close()
	}
	return nil
}
