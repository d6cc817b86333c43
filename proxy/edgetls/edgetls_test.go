package edgetls

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// made is a certificate of a test, with what signed it.
type made struct {
	cert *x509.Certificate
	key  crypto.Signer
}

type wish struct {
	names    []string
	rsa      bool
	lasts    time.Duration // 0 is an hour
	from     time.Duration
	usage    []x509.ExtKeyUsage
	isCA     bool
	signedBy *made // nil: itself
}

func (w wish) make(t *testing.T) made {
	t.Helper()
	var key crypto.Signer
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if w.rsa {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	if w.lasts == 0 {
		w.lasts = time.Hour
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"}, DNSNames: w.names,
		NotBefore: time.Now().Add(w.from - time.Hour), NotAfter: time.Now().Add(w.lasts), ExtKeyUsage: w.usage, IsCA: w.isCA, BasicConstraintsValid: true}
	parent := made{template, key}
	if w.signedBy != nil {
		parent = *w.signedBy
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent.cert, key.Public(), parent.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made{cert, key}
}

// put writes the files NAME.crt and NAME.key, chain and all.
func (m made) put(t *testing.T, dir, name string, chain ...made) Pair {
	t.Helper()
	var certs []byte
	for _, c := range append([]made{m}, chain...) {
		certs = append(certs, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})...)
	}
	key, err := x509.MarshalPKCS8PrivateKey(m.key)
	if err != nil {
		t.Fatal(err)
	}
	p := Pair{filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")}
	save(t, p.Cert, string(certs))
	save(t, p.Key, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	return p
}

func save(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// shake does a handshake and returns what the client saw.
func shake(t *testing.T, s *Store, client *tls.Config) (tls.ConnectionState, error) {
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
	done := make(chan error, 1)
	go func() { // ends with the connection
		server := tls.Server(b, s.Config())
		err := server.Handshake()
		if err == nil {
			_, err = server.Write([]byte{1}) // behind the tickets
		}
		done <- err
	}()
	c := tls.Client(a, client)
	err = c.Handshake()
	if err == nil {
		_, err = c.Read(make([]byte, 1))
	}
	a.Close()
	<-done
	return c.ConnectionState(), err
}

func anyone(name string, version uint16) *tls.Config {
	return &tls.Config{ServerName: name, MinVersion: version, MaxVersion: version, InsecureSkipVerify: true}
}

func TestChoice(t *testing.T) {
	dir := t.TempDir()
	first := wish{names: []string{"first.test"}}.make(t)
	exact := wish{names: []string{"a.wild.test"}}.make(t)
	wild := wish{names: []string{"*.wild.test"}}.make(t)
	old := wish{names: []string{"a.wild.test"}, rsa: true}.make(t)
	below := filepath.Join(dir, "secret")
	if err := os.Mkdir(below, 0o700); err != nil {
		t.Fatal(err)
	}
	p := first.put(t, t.TempDir(), "z")
	exact.put(t, dir, "exact")
	wild.put(t, below, "tls")
	old.put(t, dir, "old")
	s, err := New(Config{Pairs: []Pair{p}, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	rsaOnly := anyone("a.wild.test", tls.VersionTLS12)
	rsaOnly.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
	for _, c := range []struct {
		client *tls.Config
		want   made
	}{
		{anyone("first.test", tls.VersionTLS13), first},
		{anyone("a.wild.test", tls.VersionTLS13), exact},
		{anyone("A.Wild.Test", tls.VersionTLS12), exact},
		{anyone("b.wild.test", tls.VersionTLS13), wild},
		{anyone("b.c.wild.test", tls.VersionTLS13), first}, // a wildcard is one label
		{anyone("unknown.test", tls.VersionTLS13), first},
		{anyone("", tls.VersionTLS13), first},
		{rsaOnly, old},
	} {
		st, err := shake(t, s, c.client)
		if err != nil || !st.PeerCertificates[0].Equal(c.want.cert) {
			t.Errorf("%q: %v, want the one for %v; %v", c.client.ServerName, st.PeerCertificates, c.want.cert.DNSNames, err)
		}
	}
	for _, c := range []struct {
		name, host string
		want       bool
	}{
		{"a.wild.test", "a.wild.test", true}, {"b.wild.test", "c.wild.test", true}, {"b.wild.test", "first.test", false},
		{"unknown.test", "first.test", true}, {"", "whatever.test", true}, {"first.test", "a.wild.test", false}, {"first.test", "", false},
	} {
		if got := s.Covers(c.name, c.host); got != c.want {
			t.Errorf("Covers(%q, %q) = %v", c.name, c.host, got)
		}
	}
	if n := len(s.Stats().Certificates); n != 4 {
		t.Errorf("%d certificates", n)
	}
}

// What cannot serve is refused, and the error names the file and what is wrong.
func TestRefused(t *testing.T) {
	root := wish{isCA: true, names: []string{"root.test"}}.make(t)
	stranger := wish{isCA: true, names: []string{"stranger.test"}}.make(t)
	leaf := wish{names: []string{"a.test"}, signedBy: &root}.make(t)
	for _, c := range []struct {
		name string
		put  func(dir string) Config
		want string
	}{
		{"nothing", func(dir string) Config { return Config{Dir: dir} }, "no certificate"},
		{"no folder", func(dir string) Config { return Config{Dir: filepath.Join(dir, "gone")} }, "gone"},
		{"expired", func(dir string) Config {
			return Config{Pairs: []Pair{wish{names: []string{"a.test"}, lasts: -time.Minute}.make(t).put(t, dir, "a")}}
		}, "a.crt: it expired at"},
		{"not yet valid", func(dir string) Config {
			return Config{Pairs: []Pair{wish{names: []string{"a.test"}, from: 90 * time.Minute, lasts: 9 * time.Hour}.make(t).put(t, dir, "a")}}
		}, "valid from"},
		{"no names", func(dir string) Config { return Config{Pairs: []Pair{wish{}.make(t).put(t, dir, "a")}} }, "subjectAltName"},
		{"not for servers", func(dir string) Config {
			return Config{Pairs: []Pair{wish{names: []string{"a.test"}, usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}.make(t).put(t, dir, "a")}}
		}, "extendedKeyUsage"},
		{"a chain in the wrong order", func(dir string) Config { return Config{Pairs: []Pair{leaf.put(t, dir, "a", stranger, root)}} }, "did not sign"},
		{"an expired authority", func(dir string) Config {
			late := wish{isCA: true, names: []string{"late.test"}, lasts: -time.Minute}.make(t)
			return Config{Pairs: []Pair{wish{names: []string{"a.test"}, signedBy: &late}.make(t).put(t, dir, "a", late)}}
		}, "certificate 2 of its chain expired"},
		{"the key of another", func(dir string) Config {
			p := leaf.put(t, dir, "a")
			p.Key = stranger.put(t, dir, "b").Key
			return Config{Pairs: []Pair{p}}
		}, "b.key"},
		{"no key", func(dir string) Config {
			p := leaf.put(t, dir, "a")
			if err := os.Remove(p.Key); err != nil {
				t.Fatal(err)
			}
			return Config{Dir: dir}
		}, "a.key"},
		{"a huge file", func(dir string) Config {
			p := leaf.put(t, dir, "a")
			save(t, p.Cert, strings.Repeat("x", maxFile+1))
			return Config{Dir: dir}
		}, "larger than"},
		{"short ticket keys", func(dir string) Config {
			leaf.put(t, dir, "a")
			save(t, filepath.Join(dir, "tickets"), "# first\nsecret\n")
			return Config{Dir: dir, TicketKeys: filepath.Join(dir, "tickets")}
		}, "tickets: line 2"},
		{"no ticket keys", func(dir string) Config {
			leaf.put(t, dir, "a")
			save(t, filepath.Join(dir, "tickets"), "\n")
			return Config{Dir: dir, TicketKeys: filepath.Join(dir, "tickets")}
		}, "0 keys"},
	} {
		_, err := New(c.put(t.TempDir()))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error quotes the file: %v", c.name, err)
		}
	}
	if _, err := New(Config{Pairs: []Pair{leaf.put(t, t.TempDir(), "a", root)}}); err != nil {
		t.Errorf("a whole chain: %v", err)
	}
}

// What is beside the certificates as cert-manager writes them, and what would block who opens it.
func TestFolder(t *testing.T) {
	dir := t.TempDir()
	root := wish{isCA: true, names: []string{"root.test"}}.make(t)
	p := root.put(t, dir, "ca")
	if err := os.Remove(p.Key); err != nil {
		t.Fatal(err)
	}
	wish{names: []string{"a.test"}, signedBy: &root}.make(t).put(t, dir, "tls")
	s, err := New(Config{Dir: dir})
	if err != nil || len(s.Stats().Certificates) != 1 {
		t.Fatalf("beside ca.crt: %v", err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "z.crt"), 0o600); err != nil {
		t.Skip(err)
	}
	save(t, filepath.Join(dir, "z.key"), "")
	if _, err := s.Reload(); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a pipe: %v", err)
	}
}

// A reload takes all or nothing; what was in force stays, and is said to.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	one := wish{names: []string{"a.test"}}.make(t)
	one.put(t, dir, "a")
	now := time.Now()
	s, err := New(Config{Dir: dir, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	serves := func(want made) {
		t.Helper()
		if st, err := shake(t, s, anyone("a.test", tls.VersionTLS13)); err != nil || !st.PeerCertificates[0].Equal(want.cert) {
			t.Errorf("not the one that was expected, %v", err)
		}
	}
	if changed, err := s.Reload(); changed || err != nil {
		t.Errorf("nothing changed: %v, %v", changed, err)
	}
	two := wish{names: []string{"a.test"}}.make(t)
	two.put(t, dir, "a")
	if changed, err := s.Reload(); !changed || err != nil {
		t.Errorf("a new one: %v, %v", changed, err)
	}
	serves(two)
	now = now.Add(time.Minute)
	save(t, filepath.Join(dir, "b.crt"), "not a certificate") // one bad file among good ones
	save(t, filepath.Join(dir, "b.key"), "not a key")
	wish{names: []string{"a.test"}}.make(t).put(t, dir, "a")
	for range 2 {
		if changed, err := s.Reload(); changed || err == nil {
			t.Errorf("a bad one: %v, %v", changed, err)
		}
	}
	serves(two)
	if st := s.Stats(); st.Err == nil || st.Reloads != 1 || st.Failed != 2 || !st.Since.Equal(now) {
		t.Errorf("%+v", st)
	}
	for _, name := range []string{"b.crt", "b.key"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if changed, err := s.Reload(); !changed || err != nil || s.Stats().Err != nil {
		t.Errorf("good again: %v, %v", changed, err)
	}
}

// Tickets of one process are taken by another that has the same keys, also behind a new first
// one; without keys in common they are not.
func TestTickets(t *testing.T) {
	dir := t.TempDir()
	wish{names: []string{"a.test"}}.make(t).put(t, dir, "a")
	a, b := strings.Repeat("0a", 32), strings.Repeat("0b", 32)
	store := func(keys string) *Store {
		t.Helper()
		name := filepath.Join(t.TempDir(), "tickets")
		save(t, name, keys)
		s, err := New(Config{Dir: dir, TicketKeys: name})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, c := range []struct {
			next string
			want bool
		}{{a, true}, {b + "\n" + a, true}, {b, false}} {
			client := anyone("a.test", version)
			client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
			if st, err := shake(t, store(a), client); err != nil || st.DidResume {
				t.Fatalf("the first: %v, %v", st.DidResume, err)
			}
			if st, err := shake(t, store(c.next), client); err != nil || st.DidResume != c.want {
				t.Errorf("%s: resumed %v, want %v; %v", tls.VersionName(version), st.DidResume, c.want, err)
			}
		}
	}
}

// Without a file the keys are the process's own, and outlive a change of certificates.
func TestTicketsOfTheProcess(t *testing.T) {
	dir := t.TempDir()
	wish{names: []string{"a.test"}}.make(t).put(t, dir, "a")
	s, err := New(Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	client := anyone("a.test", tls.VersionTLS13)
	client.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	for i, want := range []bool{false, true} {
		if st, err := shake(t, s, client); err != nil || st.DidResume != want {
			t.Errorf("handshake %d: resumed %v, want %v; %v", i, st.DidResume, want, err)
		}
		wish{names: []string{"a.test"}}.make(t).put(t, dir, "a")
		if changed, err := s.Reload(); !changed || err != nil {
			t.Fatalf("reload: %v, %v", changed, err)
		}
	}
}

func TestVersions(t *testing.T) {
	dir := t.TempDir()
	wish{names: []string{"a.test"}}.make(t).put(t, dir, "a")
	for _, c := range []struct {
		min, client uint16
		ok          bool
	}{{0, tls.VersionTLS11, false}, {0, tls.VersionTLS12, true}, {tls.VersionTLS13, tls.VersionTLS12, false}, {tls.VersionTLS13, tls.VersionTLS13, true}} {
		s, err := New(Config{Dir: dir, MinVersion: c.min})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := shake(t, s, anyone("a.test", c.client)); (err == nil) != c.ok {
			t.Errorf("at least %s, client %s: %v", tls.VersionName(c.min), tls.VersionName(c.client), err)
		}
	}
}
