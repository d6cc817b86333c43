package etcd_test

import (
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/sluiceproxy/sluice/internal/etcd"
	"github.com/sluiceproxy/sluice/internal/etcd/etcdtest"
)

// Each endpoint is held against its own name, with and without a scheme, and without ca_file the system's authorities count.
func TestEachEndpointIsHeldAgainstItsName(t *testing.T) {
	ours := etcdtest.NewAuthority(t, t.TempDir(), "ours")
	server := ours.Issue(t, "server") // of the address 127.0.0.1, and of no name
	pair, err := tls.LoadX509KeyPair(server+".crt", server+".key")
	if err != nil {
		t.Fatal(err)
	}
	cluster := etcdtest.Start(t, 1, grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{pair}})))
	address := cluster.Endpoints()[0]
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	named := "localhost:" + port
	for _, tt := range []struct {
		config etcd.Config
		want   string // empty: it answers
	}{
		{etcd.Config{Endpoints: []string{address}, CAFile: ours.File}, ""},
		{etcd.Config{Endpoints: []string{"https://" + address}, CAFile: ours.File}, ""},
		{etcd.Config{Endpoints: []string{named}, CAFile: ours.File}, "x509"},
		{etcd.Config{Endpoints: []string{"https://" + named}, CAFile: ours.File}, "x509"},
		{etcd.Config{Endpoints: []string{"https://127.0.0.1:1", "https://" + named}, CAFile: ours.File}, "x509"}, // the name of the first is not that of the second
		{etcd.Config{Endpoints: []string{"https://" + address}}, "x509"},
	} {
		tt.config.RequestTimeout = time.Second
		err := get(t, open(t, tt.config))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v; want %q", tt.config.Endpoints, err, tt.want)
		}
		t.Log(err)
	}
}
