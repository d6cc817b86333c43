package tlslayer_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/engine"
)

// sealer is a TLS 1.3 client that sends whatever it likes once its handshake is over: crypto/tls
// sends no key updates, and no messages without an end (RFC 8446 sections 5.2, 7.1 and 7.3).
type sealer struct {
	net.Conn
	aead   cipher.AEAD
	iv     []byte
	secret []byte
	seq    uint64
}

const (
	recordHandshake = 22
	recordData      = 23
)

func newSealer(t *testing.T, r *rig) *sealer {
	t.Helper()
	var log bytes.Buffer
	cfg := r.client()
	cfg.KeyLogWriter, cfg.MinVersion = &log, tls.VersionTLS13
	s := &sealer{Conn: r.dial()}
	c := tls.Client(s.Conn, cfg)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if c.ConnectionState().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		t.Skip("another cipher suite was chosen")
	}
	for _, line := range strings.Split(log.String(), "\n") {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "CLIENT_TRAFFIC_SECRET_0" {
			secret, err := hex.DecodeString(f[2])
			if err != nil {
				t.Fatal(err)
			}
			s.use(t, secret)
			return s
		}
	}
	t.Fatal("no traffic secret in the key log")
	return nil
}

func (s *sealer) use(t *testing.T, secret []byte) {
	t.Helper()
	block, err := aes.NewCipher(expand(t, secret, "key", 16))
	if err == nil {
		s.aead, err = cipher.NewGCM(block)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.secret, s.iv, s.seq = secret, expand(t, secret, "iv", 12), 0
}

func expand(t *testing.T, secret []byte, label string, n int) []byte {
	t.Helper()
	info := append([]byte{0, byte(n), byte(len("tls13 " + label))}, "tls13 "+label+"\x00"...)
	out, err := hkdf.Expand(sha256.New, secret, string(info), n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// seal is a record of its own.
func (s *sealer) seal(kind byte, b []byte) []byte {
	nonce := bytes.Clone(s.iv)
	for i, x := range binary.BigEndian.AppendUint64(nil, s.seq) {
		nonce[4+i] ^= x
	}
	s.seq++
	head := []byte{recordData, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(head[3:], uint16(len(b)+1+s.aead.Overhead()))
	return s.aead.Seal(head, nonce, append(bytes.Clone(b), kind), head)
}

// update is a key update that wants one in return.
func (s *sealer) update(t *testing.T) []byte {
	t.Helper()
	record := s.seal(recordHandshake, []byte{24, 0, 0, 1, 1})
	s.use(t, expand(t, s.secret, "traffic upd", sha256.Size))
	return record
}

// A key update is answered, and the bytes behind it are opened with the new key.
func TestKeyUpdate(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		s := newSealer(t, r)
		b := append(s.update(t), s.seal(recordData, []byte("ping"))...)
		if _, err := s.Write(b); err != nil {
			t.Fatal(err)
		}
		if got := string(await[got](r)); got != "ping" {
			t.Errorf("%q came", got)
		}
	})
}

// Behind our FIN there is no answer to a key update any more; what comes behind it is still read.
func TestKeyUpdateBehindOurEnd(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.call(func() {
			r.secured = func(id engine.ConnID, _ engine.Secured) { r.sh.CloseWrite(id) }
			r.received = func(engine.ConnID, []byte) {}
		})
		s := newSealer(t, r)
		b := append(s.update(t), s.seal(recordData, []byte("ping"))...)
		if _, err := s.Write(b); err != nil {
			t.Fatal(err)
		}
		if got := string(await[got](r)); got != "ping" {
			t.Errorf("%q came", got)
		}
	})
}

// Whoever has key updates answered and takes no answer is cut off, also with a byte of traffic
// now and then; so is a message that never ends.
func TestFloods(t *testing.T) {
	for _, c := range []struct {
		name string
		more func(t *testing.T, s *sealer) []byte
	}{
		{"key updates", func(t *testing.T, s *sealer) (b []byte) {
			for range 15 {
				b = append(b, s.update(t)...)
			}
			return append(b, s.seal(recordData, []byte("x"))...)
		}},
		{"a message without an end", func(t *testing.T, s *sealer) []byte {
			return s.seal(recordHandshake, append([]byte{4, 0, 0xff, 0}, make([]byte, 4000)...))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			onEach(t, func(t *testing.T, r *rig) {
				r.call(func() { r.received = func(engine.ConnID, []byte) {} })
				s := newSealer(t, r)
				sent := 0
				for sent < 64<<20 {
					n, err := s.Write(c.more(t, s))
					sent += n
					if err != nil {
						break
					}
				}
				if end := await[closed](r); end.Err == nil || !strings.Contains(end.Err.Error(), "carry nothing") {
					t.Errorf("ended with %v after %d bytes", end.Err, sent)
				}
			})
		})
	}
}

// Many bytes at once, of which the last record is not whole, are no flood.
func TestLargeRecordsAreNoFlood(t *testing.T) {
	onEach(t, func(t *testing.T, r *rig) {
		r.call(func() { r.received = func(engine.ConnID, []byte) {} })
		s := newSealer(t, r)
		var b []byte
		for range 40 {
			b = append(b, s.seal(recordData, make([]byte, 1<<14))...)
		}
		for len(b) > 0 {
			n := min(len(b), 16500)
			if _, err := s.Write(b[:n]); err != nil {
				t.Fatal(err)
			}
			b = b[n:]
			time.Sleep(100 * time.Microsecond) // a pace, so that it is read in pieces; whatever they are
		}
		_ = s.Conn.(*net.TCPConn).CloseWrite()
		await[ended](r)
		_, _ = io.Copy(io.Discard, s)
	})
}
