package address_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/internal/etcd/address"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHost(t *testing.T) {
	for in, want := range map[string]string{
		"10.0.0.1:2379": "10.0.0.1", "https://etcd.internal:2379": "etcd.internal", "http://[::1]:1": "::1", "localhost:65535": "localhost",
		"": "", "10.0.0.1": "", ":2379": "", "10.0.0.1:": "", "10.0.0.1:0": "", "10.0.0.1:65536": "", "https://a:1/path": "", "ftp://a:1": "", "unix:///x": "",
	} {
		got, err := address.Host(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("Host(%q) is %q, %v; want %q", in, got, err, want)
		}
	}
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]bool{"127.0.0.1": true, "127.9.9.9": true, "::1": true, "::ffff:127.0.0.1": true, "localhost": true,
		"10.0.0.1": false, "localhost.example.com": false, "": false, "0.0.0.0": false} {
		if got := address.Loopback(host); got != want {
			t.Errorf("Loopback(%q) is %v", host, got)
		}
	}
}
