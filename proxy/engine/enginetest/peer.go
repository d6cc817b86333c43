package enginetest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
	"testing"
	"time"
)

// dial opens a plain TCP connection: the other side of what is tested.
func dial(t *testing.T, ln net.Listener) *net.TCPConn {
	t.Helper()
	nc, err := net.DialTimeout("tcp", ln.Addr().String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return nc.(*net.TCPConn)
}

// accept takes a connection that the driver dialed.
func accept(t *testing.T, ln net.Listener) *net.TCPConn {
	t.Helper()
	nc, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	return nc.(*net.TCPConn)
}

func write(t *testing.T, nc net.Conn, s string) {
	t.Helper()
	if _, err := nc.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
}

// want reads exactly s.
func want(t *testing.T, nc net.Conn, s string) {
	t.Helper()
	got := make([]byte, len(s))
	if n, err := io.ReadFull(nc, got); err != nil || string(got) != s {
		t.Fatalf("the peer read %q, %v, want %q", got[:n], err, s)
	}
}

// wantEOF reads to the end: nothing more, then FIN.
func wantEOF(t *testing.T, nc net.Conn) {
	t.Helper()
	if got, err := io.ReadAll(nc); err != nil || len(got) > 0 {
		t.Fatalf("the peer read %d bytes, %v, want a FIN", len(got), err)
	}
}

// wantReset reads to the end, which must be an RST.
func wantReset(t *testing.T, nc net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, nc); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("the peer's end: %v, want a reset", err)
	}
}

// reset sends RST.
func reset(t *testing.T, nc *net.TCPConn) {
	t.Helper()
	if err := nc.SetLinger(0); err != nil {
		t.Fatal(err)
	}
	nc.Close()
}

// finish sends FIN.
func finish(t *testing.T, nc *net.TCPConn) {
	t.Helper()
	if err := nc.CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

// fill is n bytes that no two offsets share by chance.
func fill(n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{1})
	_, _ = src.Read(b)
	return b
}

// stream writes n bytes in pieces of random size, and returns their hash. It stops at
// the first error.
func stream(w io.Writer, n int) (sum []byte, err error) {
	src, sizes := rand.NewChaCha8([32]byte{2}), rand.New(rand.NewPCG(3, 4))
	h := sha256.New()
	buf := make([]byte, 200<<10)
	for n > 0 {
		b := buf[:min(1+sizes.IntN(1<<sizes.IntN(18)), n)]
		_, _ = src.Read(b)
		h.Write(b)
		if _, err := w.Write(b); err != nil {
			return nil, err
		}
		n -= len(b)
	}
	return h.Sum(nil), nil
}

// hashOf reads n bytes, at most some at a time.
func hashOf(r io.Reader, n int) ([]byte, error) {
	var h hash.Hash = sha256.New()
	_, err := io.CopyBuffer(h, io.LimitReader(onlyReader{r}, int64(n)), make([]byte, 48<<10))
	return h.Sum(nil), err
}

// onlyReader hides what would let io.Copy bypass the buffer.
type onlyReader struct{ io.Reader }

func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes, want %d; or their content differs", what, len(got), len(want))
	}
}

func sumOf(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}
