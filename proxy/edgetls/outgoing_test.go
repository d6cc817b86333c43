package edgetls

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// meet does a handshake of a client with a server that has that certificate.
func meet(t *testing.T, client, server *tls.Config) (tls.ConnectionState, error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	_ = a.SetDeadline(time.Now().Add(20 * time.Second))
	_ = b.SetDeadline(time.Now().Add(20 * time.Second))
	done := make(chan struct{})
	go func() { // ends with the connection
		defer close(done)
		s := tls.Server(b, server)
		if s.Handshake() == nil {
			_, _ = s.Write([]byte{1}) // behind the tickets
		}
	}()
	c := tls.Client(a, client)
	if err = c.Handshake(); err == nil {
		_, err = c.Read(make([]byte, 1))
	}
	a.Close()
	<-done
	return c.ConnectionState(), err
}

func serving(m made, version uint16) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{m.cert.Raw}, PrivateKey: m.key}}, MinVersion: version, MaxVersion: version}
}

// Who an upstream has to be: what is asked for, what the profile says, or the host that was dialed.
func TestOutgoingNames(t *testing.T) {
	dir := t.TempDir()
	ca := wish{isCA: true}.make(t)
	ca.put(t, dir, "ca")
	server := wish{names: []string{"up.test"}, signedBy: &ca}.make(t)
	for _, tt := range []struct {
		profile, name, addr string
		good                bool
	}{
		{"", "", "up.test:443", true},
		{"", "", "other.test:443", false},
		{"", "", "127.0.0.1:443", false},
		{"", "up.test", "127.0.0.1:443", true},
		{"up.test", "", "127.0.0.1:443", true},
		{"up.test", "other.test", "up.test:443", false},
		{"other.test", "", "up.test:443", false},
	} {
		o, err := NewOutgoing(OutgoingConfig{CA: filepath.Join(dir, "ca.crt"), ServerName: tt.profile})
		if err != nil {
			t.Fatal(err)
		}
		cfg, _ := o.Client(tt.name, tt.addr)
		if _, err := meet(t, cfg, serving(server, 0)); (err == nil) != tt.good {
			t.Errorf("%+v: %v", tt, err)
		}
	}
	// Without authorities of its own, those of the system vouch; ours is none of them.
	o, err := NewOutgoing(OutgoingConfig{})
	if err != nil {
		t.Fatal(err)
	}
	cfg, _ := o.Client("", "up.test:443")
	if _, err := meet(t, cfg, serving(server, 0)); err == nil {
		t.Error("trusted without authority")
	}
}

// A session is resumed at the server that it began with, by its name, and under the same files.
func TestOutgoingSessions(t *testing.T) {
	for name, version := range versions {
		dir := t.TempDir()
		ca, next := wish{isCA: true}.make(t), wish{isCA: true}.make(t)
		ca.put(t, dir, "ca")
		server := serving(wish{names: []string{"up.test", "two.test"}, signedBy: &ca}.make(t), version)
		o, err := NewOutgoing(OutgoingConfig{CA: filepath.Join(dir, "ca.crt")})
		if err != nil {
			t.Fatal(err)
		}
		resumed := func(name, addr string) bool {
			t.Helper()
			cfg, _ := o.Client(name, addr)
			st, err := meet(t, cfg, server)
			if err != nil {
				t.Fatal(err)
			}
			return st.DidResume
		}
		for _, tt := range []struct {
			name, addr string
			want       bool
		}{{"up.test", "10.0.0.1:1", false}, {"up.test", "10.0.0.1:1", true}, {"up.test", "10.0.0.2:1", false}, {"two.test", "10.0.0.1:1", false}, {"up.test", "10.0.0.2:1", true}} {
			if got := resumed(tt.name, tt.addr); got != tt.want {
				t.Errorf("TLS %s, %s at %s: resumed %v", name, tt.name, tt.addr, got)
			}
		}
		_, before := o.Client("", "a:1")
		both := pemOf(ca) + pemOf(next)
		save(t, filepath.Join(dir, "ca.crt"), both)
		if changed, err := o.Reload(); !changed || err != nil {
			t.Fatalf("reload: %v, %v", changed, err)
		}
		if o.Version() == before {
			t.Error("the version is the same")
		}
		if resumed("up.test", "10.0.0.1:1") {
			t.Errorf("TLS %s: a session outlived the files that it began under", name)
		}
		if changed, err := o.Reload(); changed || err != nil {
			t.Errorf("nothing changed: %v, %v", changed, err)
		}
	}
}

func pemOf(m made) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.cert.Raw}))
}

func TestOutgoingFilesRefused(t *testing.T) {
	dir := t.TempDir()
	ca := wish{isCA: true}.make(t)
	ca.put(t, dir, "ca")
	own := func(w wish) Pair { w.signedBy = &ca; return w.make(t).put(t, dir, "own") }
	good := own(wish{usage: clientUse})
	caFile := filepath.Join(dir, "ca.crt")
	o, err := NewOutgoing(OutgoingConfig{CA: caFile, Pair: good})
	if err != nil {
		t.Fatal(err)
	}
	if st := o.Stats(); len(st.Expiries) != 2 || st.Expiries[0].What != Authority || st.Expiries[1].What != Own {
		t.Errorf("stats %+v", st)
	}
	for want, spoil := range map[string]func(){
		"it expired at":       func() { own(wish{usage: clientUse, lasts: -time.Minute}) },
		"it is valid from":    func() { own(wish{usage: clientUse, from: 2 * time.Hour}) },
		"not for clients":     func() { own(wish{usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}) },
		"no such file":        func() { _ = os.Remove(good.Key) },
		"PEM":                 func() { save(t, good.Cert, "hello") },
		"is of no authority":  func() { b, _ := os.ReadFile(good.Cert); save(t, caFile, string(b)) },
		"it holds no certifi": func() { save(t, caFile, "") },
	} {
		spoil()
		if _, err := NewOutgoing(OutgoingConfig{CA: caFile, Pair: good}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		before := o.Version()
		if changed, err := o.Reload(); err == nil || changed || o.Version() != before || o.Stats().Err == nil {
			t.Errorf("%s: changed %v, %v", want, changed, err)
		}
		ca.put(t, dir, "ca")
		own(wish{usage: clientUse})
		if _, err := o.Reload(); err != nil {
			t.Fatal(err)
		}
	}
}
