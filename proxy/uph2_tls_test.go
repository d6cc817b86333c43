package proxy_test

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/edgetls"
)

// An upstream that does not speak HTTP/2, or is not the one that was meant, gets no request; nothing else comes of it.
func TestUpH2HandshakeFails(t *testing.T) {
	ca := newSigner(t)
	for name, cfg := range map[string]*tls.Config{
		"speaks HTTP/1.1": {Certificates: []tls.Certificate{ca.server(t, "up.test", time.Hour)}},
		"another name":    {Certificates: []tls.Certificate{ca.server(t, "other.test", time.Hour)}, NextProtos: []string{"h2"}},
	} {
		t.Run(name, func(t *testing.T) {
			onEveryDriver(t, func(t *testing.T, newDriver driverMaker) {
				o := newOrigin(t, echoing(cfg))
				p := newOutward(t, newDriver, ca, edgetls.Pair{})
				p.apply("{endpoints: [%q], protocol: http2, outlier: {off: true}, tls: {profile: internal, server_name: up.test}}", o.addr)
				for range 2 {
					if status, body, err := p.post("secret"); status != 502 || err != nil {
						t.Errorf("%d %q, %v", status, body, err)
					}
				}
				eventually(t, "the end of what failed", func() bool { return p.Stats().UpstreamsOpen == 0 })
				for where, n := range p.Stats().Panics {
					if n > 0 {
						t.Errorf("%d panics were contained (%s)", n, where)
					}
				}
				if n := o.requests(); n != 0 {
					t.Errorf("%d requests came", n)
				}
			})
		})
	}
}
