package httpdrain_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/drain/httpdrain"
)

// secure serves HTTPS; its client's configuration comes with it.
func secure(t *testing.T, cfg httpdrain.Config, h http.HandlerFunc) (*rig, *tls.Config) {
	t.Helper()
	lender := httptest.NewUnstartedServer(nil)
	lender.EnableHTTP2 = true
	lender.StartTLS()
	certs, roots := lender.TLS.Certificates, lender.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
	lender.Close()
	s := &http.Server{Handler: h, TLSConfig: &tls.Config{Certificates: certs}}
	r := serveOn(t, httpdrain.Wrap(s, cfg), func(s *httpdrain.Server, ctx context.Context, ln net.Listener) (drain.Receipt, error) {
		return s.ServeTLS(ctx, ln, "", "")
	})
	return r, &tls.Config{RootCAs: roots, ServerName: "example.com"}
}

// The goodbye comes in two steps: a GOAWAY for no stream, and the last only once the client
// has acknowledged a PING. A stream that began in between is served.
func TestHTTP2GoodbyeInTwoSteps(t *testing.T) {
	r, tlsc := secure(t, short(), hello)
	tlsc.NextProtos = []string{"h2"}
	c, err := tls.Dial("tcp", r.addr, tlsc)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	f := http2.NewFramer(c, c)
	if err := f.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	request := func(stream uint32) {
		var head strings.Builder
		enc := hpack.NewEncoder(&head)
		for _, h := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "a"}, {":path", "/"}} {
			_ = enc.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
		}
		if err := f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: []byte(head.String()), EndStream: true, EndHeaders: true}); err != nil {
			t.Fatal(err)
		}
	}
	served := map[uint32]bool{}
	read := func(what string, until func(http2.Frame) bool) {
		t.Helper()
		for {
			fr, err := f.ReadFrame()
			if err != nil {
				t.Fatalf("before %s: %v", what, err)
			}
			if fr.Header().Type == http2.FrameData && fr.Header().Flags.Has(http2.FlagDataEndStream) {
				served[fr.Header().StreamID] = true
			}
			if until(fr) {
				return
			}
		}
	}
	request(1)
	read("the first response", func(http2.Frame) bool { return served[1] })
	r.stop()
	var ping [8]byte
	read("GOAWAY and PING", func(fr http2.Frame) bool {
		switch fr := fr.(type) {
		case *http2.GoAwayFrame:
			if fr.LastStreamID != 1<<31-1 || fr.ErrCode != http2.ErrCodeNo {
				t.Fatalf("the first GOAWAY: last stream %d, %v", fr.LastStreamID, fr.ErrCode)
			}
		case *http2.PingFrame:
			ping = fr.Data
			return true
		}
		return false
	})
	r.until(t, drain.Draining)
	request(3) // it crossed with the GOAWAY
	read("the second response", func(http2.Frame) bool { return served[3] })
	if err := f.WritePing(true, ping); err != nil {
		t.Fatal(err)
	}
	read("the last GOAWAY", func(fr http2.Frame) bool {
		g, ok := fr.(*http2.GoAwayFrame)
		if ok && g.LastStreamID != 3 {
			t.Errorf("the last GOAWAY: last stream %d, want 3", g.LastStreamID)
		}
		return ok
	})
	// Nobody can begin anything any more, so nobody waits for the client to leave.
	if _, err := f.ReadFrame(); err == nil {
		t.Error("the connection goes on")
	}
	if got := <-r.receipt; !got.Clean() || got.Told != 1 || got.Outcomes.Completed != 1 || got.Exchanges.Draining != 1 {
		t.Errorf("%s: told %d, %+v %+v", got, got.Told, got.Outcomes, got.Exchanges)
	}
}

// Requests with bodies that cannot be sent twice, by HTTP/2 of net/http, through stops.
func TestHTTP2UnderLoadLosesNothing(t *testing.T) {
	for range *stops {
		r, tlsc := secure(t, short(), echo)
		var done, lost, refused, unsent atomic.Int64
		var running sync.WaitGroup
		for range 8 {
			running.Go(func() { // ends when refused, or lost
				tr := &http.Transport{TLSClientConfig: tlsc.Clone(), ForceAttemptHTTP2: true}
				defer tr.CloseIdleConnections()
				client := &http.Client{Transport: tr, Timeout: patience}
				var streams sync.WaitGroup
				for range 4 {
					streams.Go(func() { // the same
						for {
							var wrote atomic.Bool
							trace := &httptrace.ClientTrace{WroteHeaders: func() { wrote.Store(true) }}
							req, err := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), trace),
								"POST", "https://"+r.addr+"/", io.NopCloser(strings.NewReader("body")))
							if err != nil {
								t.Error(err)
								return
							}
							resp, err := client.Do(req)
							switch {
							case err != nil && strings.Contains(err.Error(), "refused"):
								refused.Add(1)
								return
							case err != nil && !wrote.Load():
								// net/http had the connection in hand when the GOAWAY came, and gives up on a
								// body without GetBody though it has sent nothing. It may go on.
								unsent.Add(1)
								continue
							case err != nil:
								lost.Add(1)
								t.Log(err)
								return
							}
							b, err := io.ReadAll(resp.Body)
							resp.Body.Close()
							if err != nil || string(b) != "body" || resp.ProtoMajor != 2 {
								lost.Add(1)
								t.Log(resp.Proto, string(b), err)
								return
							}
							done.Add(1)
						}
					})
				}
				streams.Wait()
			})
		}
		limit := time.Now().Add(patience)
		for done.Load() < 300 && time.Now().Before(limit) {
			time.Sleep(time.Millisecond)
		}
		r.stop()
		got := <-r.receipt
		running.Wait()
		t.Logf("%d done, %d lost, %d refused, %d given up by the client before they were sent", done.Load(), lost.Load(), refused.Load(), unsent.Load())
		if lost.Load() > 0 || !got.Clean() || got.Told == 0 {
			t.Errorf("%d done, %d lost, %d refused: %s", done.Load(), lost.Load(), refused.Load(), got)
		}
	}
}

// HTTP/1.1 over TLS: an idle connection that was never used is not cut at the deadline.
func TestHTTPSIdleConnections(t *testing.T) {
	cfg := short()
	cfg.Drain.IdleClose = 50 * time.Millisecond
	cfg.Drain.Timeout = 2 * time.Second
	r, tlsc := secure(t, cfg, hello)
	c, err := tls.Dial("tcp", r.addr, tlsc)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	r.stop()
	if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
		t.Errorf("%q, %v; want a close_notify", b, err)
	}
	c.Close()
	if got := <-r.receipt; !got.Clean() || got.Outcomes.IdleClosed != 1 {
		t.Errorf("%s: %+v", got, got.Outcomes)
	}
}
