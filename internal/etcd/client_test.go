package etcd_test

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/sluiceproxy/sluice/internal/etcd"
	"github.com/sluiceproxy/sluice/internal/etcd/etcdtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, config etcd.Config) *etcd.Client {
	t.Helper()
	c, err := etcd.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func get(t *testing.T, c *etcd.Client) error {
	return c.Read(t.Context(), func(ctx context.Context) error {
		_, err := c.Get(ctx, c.Key("head"))
		return err
	})
}

func put(t *testing.T, c *etcd.Client, value string) error {
	return c.Write(t.Context(), func(ctx context.Context) error {
		_, err := c.Put(ctx, c.Key("head"), value)
		return err
	})
}

// A store that is away delays nothing but what asks it, and that not for long.
func TestOpenWaitsForNobody(t *testing.T) {
	cluster := etcdtest.Start(t, 2)
	cluster.Down()
	password := filepath.Join(t.TempDir(), "password")
	write(t, password, "secret\n")
	c := open(t, etcd.Config{Endpoints: cluster.Endpoints(), User: "sluice", PasswordFile: password, RequestTimeout: 2 * time.Second})
	if err := get(t, c); err == nil || !strings.Contains(err.Error(), "etcd 127.0.0.1:") {
		t.Fatal(err)
	}
	cluster.Up(t)
	for late := time.Now().Add(time.Minute); ; {
		err := get(t, c)
		if err == nil {
			break
		}
		if time.Now().After(late) {
			t.Fatal(err)
		}
	}
}

// A member that hears nothing of the others takes requests and is silent: the next one is asked.
func TestReadsGoRoundASilentMember(t *testing.T) {
	cluster := etcdtest.Start(t, 3)
	c := open(t, etcd.Config{Endpoints: cluster.Endpoints(), RequestTimeout: 3 * time.Second})
	for range 9 { // until all are connected, and each had its turn
		if err := get(t, c); err != nil {
			t.Fatal(err)
		}
	}
	cluster.Member(1).Part(true)
	for range 6 {
		if err := get(t, c); err != nil {
			t.Error(err)
		}
	}
	if cluster.Member(1).Asked("Range") == 0 {
		t.Error("the silent member was never asked")
	}
}

// What may have been done is not done again, and every wait ends.
func TestLimits(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	c := open(t, etcd.Config{Endpoints: cluster.Endpoints(), RequestTimeout: 300 * time.Millisecond})
	if err := put(t, c, "1"); err != nil {
		t.Fatal(err)
	}
	before := cluster.Member(0).Asked("Put")
	cluster.Member(0).Part(true)
	for what, err := range map[string]error{"read": get(t, c), "write": put(t, c, "2")} {
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "did not answer within 300ms") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if n := cluster.Member(0).Asked("Put") - before; n != 1 {
		t.Errorf("written %d times", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Read(ctx, func(ctx context.Context) error { _, err := c.Get(ctx, "k"); return err }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Whoever reads an error is to know what to mend: an address, a certificate, or the store.
func TestWhyNobodyAnswers(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := etcdtest.NewAuthority(t, dir, "ours"), etcdtest.NewAuthority(t, dir, "theirs")
	server := ours.Issue(t, "server")
	pair, err := tls.LoadX509KeyPair(server+".crt", server+".key")
	if err != nil {
		t.Fatal(err)
	}
	asks := &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ours.Pool}
	cluster := etcdtest.Start(t, 1, grpc.Creds(credentials.NewTLS(asks)))
	gone := etcdtest.Start(t, 3)
	gone.Down()
	client := ours.Issue(t, "client")
	right := etcd.Config{Endpoints: []string{"https://" + cluster.Endpoints()[0]}, CAFile: ours.File, CertFile: client + ".crt", KeyFile: client + ".key"}
	if err := get(t, open(t, right)); err != nil {
		t.Fatal(err)
	}
	stranger, nobody, plain, silent := right, right, right, right
	stranger.CAFile = theirs.File
	nobody.CertFile, nobody.KeyFile = "", ""
	plain.CAFile, plain.CertFile, plain.KeyFile, plain.Endpoints = "", "", "", cluster.Endpoints()
	silent.Endpoints = gone.Endpoints()
	for _, tt := range []struct {
		config etcd.Config
		want   string
	}{
		{stranger, "x509: certificate signed by unknown authority"},
		{nobody, "tls: certificate required"},
		{plain, "it closes connections|connection reset by peer"},
		{silent, "connect: connection refused"},
	} {
		tt.config.RequestTimeout = time.Second
		c := open(t, tt.config)
		for what, err := range map[string]error{"read": get(t, c), "write": put(t, c, "1")} {
			if err == nil || !regexp.MustCompile(tt.want).MatchString(err.Error()) {
				t.Errorf("%s: %v; want %q", what, err, tt.want)
			}
		}
	}

	// A certificate that was replaced is shown at the next handshake.
	c := open(t, right)
	if err := get(t, c); err != nil {
		t.Fatal(err)
	}
	other := theirs.Issue(t, "client")
	replace(t, other, client)
	cluster.Down()
	cluster.Up(t)
	if err := get(t, c); err == nil {
		t.Error("the certificate of the start is shown still")
	}
	replace(t, ours.Issue(t, "client again"), client)
	for late := time.Now().Add(time.Minute); get(t, c) != nil; {
		if time.Now().After(late) {
			t.Fatal("the new certificate is not shown")
		}
	}
}

func replace(t *testing.T, from, to string) {
	t.Helper()
	for _, end := range []string{".key", ".crt"} {
		text, err := os.ReadFile(from + end)
		if err != nil {
			t.Fatal(err)
		}
		write(t, to+end, string(text))
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The password is read at each login; a token that the server forgot is replaced.
func TestLogin(t *testing.T) {
	cluster := etcdtest.Start(t, 1)
	cluster.Users(map[string]string{"sluice": "one"})
	password := filepath.Join(t.TempDir(), "password")
	write(t, password, "one\n")
	c := open(t, etcd.Config{Endpoints: cluster.Endpoints(), User: "sluice", PasswordFile: password})
	for range 3 {
		if err := put(t, c, "1"); err != nil {
			t.Fatal(err)
		}
	}
	if n := cluster.Member(0).Asked("Authenticate"); n != 1 {
		t.Errorf("%d logins", n)
	}
	cluster.ForgetTokens()
	if err := get(t, c); err != nil {
		t.Error(err)
	}
	cluster.Users(map[string]string{"sluice": "two"})
	if err := get(t, c); !errors.Is(err, rpctypes.ErrAuthFailed) || strings.Contains(err.Error(), "one") {
		t.Error(err)
	}
	write(t, password, "two")
	if err := get(t, c); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	select {
	case r := <-c.Watch(etcd.Watching(ctx), c.Key("head"), clientv3.WithRev(1)):
		if r.Err() != nil || len(r.Events) == 0 {
			t.Errorf("%+v", r)
		}
	case <-ctx.Done():
		t.Error("no watch")
	}
	cluster.Users(nil) // asked nobody any more: the login says so, and that is fine
	if err := get(t, c); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	none, empty := filepath.Join(dir, "none"), filepath.Join(dir, "empty")
	write(t, empty, "\n")
	for want, config := range map[string]etcd.Config{
		"no endpoint":                   {},
		"not a host and a port":         {Endpoints: []string{"a"}},
		"is without TLS":                {Endpoints: []string{"http://a:1"}, CAFile: "ca"},
		"password of \"u\" without TLS": {Endpoints: []string{"a:1"}, User: "u", PasswordFile: "p"},
		"a certificate needs both":      {Endpoints: []string{"a:1"}, CertFile: "c"},
		"a login needs both":            {Endpoints: []string{"a:1"}, PasswordFile: "p"},
		"read the authorities of etcd":  {Endpoints: []string{"a:1"}, CAFile: none},
		"holds no certificate":          {Endpoints: []string{"a:1"}, CAFile: empty},
		"read the certificate for etcd": {Endpoints: []string{"a:1"}, CertFile: none, KeyFile: none},
		"read the password for etcd":    {Endpoints: []string{"localhost:1"}, User: "u", PasswordFile: none},
		"has none, or one of more than": {Endpoints: []string{"localhost:1"}, User: "u", PasswordFile: empty},
	} {
		if c, err := etcd.Open(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
			if err == nil {
				c.Close()
			}
		}
	}
}
