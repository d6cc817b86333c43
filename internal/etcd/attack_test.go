package etcd

import (
	"context"
	"crypto/x509"
	"net"
	"testing"
	"time"
)

// "the same trouble has the same words": what logs a text when it changes logs it once.
func TestTheSameTroubleHasTheSameWords(t *testing.T) {
	began := time.Now()
	for name, trouble := range map[string]func(n int) error{
		"an expired certificate": func(n int) error {
			now := time.Date(2026, 11, 29, 15, 0, n, 0, time.UTC)
			return x509.CertificateInvalidError{Cert: &x509.Certificate{NotAfter: now.Add(-time.Hour)}, Reason: x509.Expired,
				Detail: "current time " + now.Format(time.RFC3339) + " is after 2026-11-29T14:00:00Z"} // as Verify does
		},
	} {
		s := &silence{}
		s.meet(trouble(1), &s.handshake)
		first := s.since(began)
		s.meet(trouble(2), &s.handshake)
		if second := s.since(began); first != second {
			t.Errorf("%s: %q and %q", name, first, second)
		}
	}
}

// A name server that is not there: the text of the resolver names the port of the request.
func TestADeadNameServerHasTheSameWords(t *testing.T) {
	gone, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := gone.LocalAddr().String()
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", at)
	}}
	texts := map[string]bool{}
	for range 3 {
		s := &silence{}
		began := time.Now()
		_, err := (&net.Dialer{Resolver: resolver}).DialContext(t.Context(), "tcp", "etcd.example.com:2379")
		s.meet(err, &s.dialled)
		texts[s.since(began)] = true
	}
	if len(texts) != 1 {
		t.Errorf("%v", texts)
	}
}
