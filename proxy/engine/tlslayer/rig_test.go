package tlslayer_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
	"github.com/sluiceproxy/sluice/proxy/engine/enginetest"
	"github.com/sluiceproxy/sluice/proxy/engine/tlslayer"
)

const patience = 20 * time.Second

// rig is a server of one shard whose every connection is a server's end of TLS.
type rig struct {
	t    *testing.T
	d    *tlslayer.Driver
	addr string
	cert tls.Certificate
	pool *x509.CertPool
	sh   engine.Securer

	// What the handler does, beside taking notes; called on the loop.
	accepted func(id engine.ConnID)
	received func(id engine.ConnID, b []byte)
	eof      func(id engine.ConnID)
	secured  func(id engine.ConnID, s engine.Secured)
	dialed   func(id engine.ConnID, err error)
	config   *tls.Config

	mu     sync.Mutex
	notes  []any
	change chan struct{}
}

// What a rig notes.
type (
	secured struct{ engine.Secured }
	closed  struct{ engine.End }
	ended   struct{}
	got     []byte
)

func newRig(t *testing.T, f enginetest.Factory, cfg tlslayer.Config) *rig {
	r := &rig{t: t, change: make(chan struct{})}
	r.cert, r.pool = selfSigned(t)
	r.config = &tls.Config{Certificates: []tls.Certificate{r.cert}}
	r.accepted = func(id engine.ConnID) { r.sh.StartTLS(id, r.config, false, nil) }
	r.received = func(id engine.ConnID, b []byte) { r.sh.Send(id, b) }
	r.eof = func(id engine.ConnID) { r.sh.CloseWrite(id) }
	r.secured = func(id engine.ConnID, s engine.Secured) {
		if s.Err != nil {
			r.sh.Close(id, time.Second)
		}
	}
	r.d = tlslayer.New(f(enginetest.Options{Shards: 1, Workers: 8}), cfg)
	r.d.Start(func(sh engine.Shard) engine.Handler { r.sh = sh.(engine.Securer); return handler{r} })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	if err := r.d.Listen(0, ln); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.d.Close)
	return r
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a.test"}, DNSNames: []string{"a.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

func (r *rig) client() *tls.Config { return &tls.Config{RootCAs: r.pool, ServerName: "a.test"} }

// dial is a TCP connection with a deadline.
func (r *rig) dial() net.Conn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// dialTLS is a TLS client that is through its handshake.
func (r *rig) dialTLS(cfg *tls.Config) *tls.Conn {
	r.t.Helper()
	c := tls.Client(r.dial(), cfg)
	if err := c.Handshake(); err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) note(v any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, v)
	close(r.change)
	r.change = make(chan struct{})
}

// await waits until a note of this type is there, and returns it.
func await[T any](r *rig) T {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		r.mu.Lock()
		change := r.change
		for _, n := range r.notes {
			if v, ok := n.(T); ok {
				r.mu.Unlock()
				return v
			}
		}
		notes := r.notes
		r.mu.Unlock()
		select {
		case <-change:
		case <-deadline:
			var v T
			r.t.Fatalf("no %T came; there is %v", v, notes)
		}
	}
}

// call runs f on the loop.
func (r *rig) call(f func()) {
	done := make(chan struct{})
	r.d.Post(0, func() { f(); close(done) })
	<-done
}

type handler struct{ *rig }

func (h handler) Accepted(id engine.ConnID, _ int, _ engine.Peer) { h.accepted(id) }
func (h handler) Dialed(id engine.ConnID, err error)              { h.dialed(id, err) }
func (h handler) Received(id engine.ConnID, b []byte) {
	h.note(got(append([]byte(nil), b...)))
	h.received(id, b)
}
func (h handler) EOF(id engine.ConnID)                      { h.note(ended{}); h.eof(id) }
func (h handler) Sent(engine.ConnID)                        {}
func (h handler) Moved(_, _ engine.ConnID, _ int64, _ bool) {}
func (h handler) Closed(_ engine.ConnID, end engine.End)    { h.note(closed{end}) }
func (h handler) Fired(engine.ConnID, engine.Timer)         {}
func (h handler) Answer(id engine.ConnID, v any) {
	h.note(secured{v.(engine.Secured)})
	h.secured(id, v.(engine.Secured))
}
func (h handler) Notice(v any) { v.(func())() }
