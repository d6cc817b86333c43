package e2e

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// TestDowngrade plays the table of HTTP/2 requests in front of an upstream of HTTP/1.1. What reaches it is what was
// meant or nothing, and the connection serves a good request afterwards.
func TestDowngrade(t *testing.T) {
	t.Parallel()
	cases := readFrameCases(t)
	if len(cases) < 150 {
		t.Errorf("%d cases, want at least 150", len(cases))
	}
	up := newRecorder(t)
	s := run(t, setup{policy: strictPolicy(up.addr())})
	s.await(t, "serving", msg("serving"))
	for i, c := range cases {
		if why := c.play(s.web, up, i); why != "" {
			t.Errorf("%s, RFC %s: %s", c, c.rfc, why)
		}
	}
	t.Logf("%d cases", len(cases))
}

// framer is a client that writes frames as it is told.
type framer struct {
	net.Conn
	*http2.Framer
	next uint32
}

func dialFrames(addr string) (*framer, error) {
	addr, secure := strings.CutPrefix(addr, overTLS)
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	if secure {
		cfg := trusting()
		cfg.NextProtos = []string{"h2"}
		veiled := tls.Client(c, cfg)
		if err := veiled.Handshake(); err != nil {
			_ = c.Close()
			return nil, err
		}
		c = veiled
	}
	f := &framer{Conn: c, Framer: http2.NewFramer(c, c), next: 1}
	f.AllowIllegalWrites = true
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err = c.Write([]byte(http2.ClientPreface)); err == nil {
		err = f.WriteSettings()
	}
	return f, err
}

// head sends a block of fields on a stream; each block says everything anew.
func (f *framer) head(id uint32, fields [][2]string, end bool) error {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSize(0)
	for _, p := range fields {
		if err := e.WriteField(hpack.HeaderField{Name: p[0], Value: p[1]}); err != nil {
			return err
		}
	}
	return f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: b.Bytes(), EndStream: end, EndHeaders: true})
}

// framed is what came on a stream.
type framed struct {
	status, reason, body string
	whole                bool
	reset                string // a code
}

// read follows a stream to its end, and answers what the connection asks for.
func (f *framer) read(id uint32) (r framed, err error) {
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return r, err
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = f.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				err = f.WritePing(true, frame.Data)
			}
		case *http2.GoAwayFrame:
			if frame.ErrCode != http2.ErrCodeNo {
				return r, fmt.Errorf("GOAWAY %v", frame.ErrCode)
			}
		case *http2.MetaHeadersFrame:
			if frame.StreamID == id && frame.PseudoValue("status") != "" && frame.PseudoValue("status")[0] != '1' {
				r.status = frame.PseudoValue("status")
				for _, h := range frame.RegularFields() {
					if h.Name == "x-sluice-reason" {
						r.reason = h.Value
					}
				}
			}
			r.whole = frame.StreamID == id && frame.StreamEnded()
		case *http2.DataFrame:
			if frame.StreamID == id {
				r.body += string(frame.Data())
				r.whole = frame.StreamEnded()
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == id {
				r.reset = frame.ErrCode.String()
				return r, nil
			}
		}
		if err != nil || r.whole {
			return r, err
		}
	}
}

// send plays the frames of a case.
func (f *framer) send(c *frameCase, id uint32, up *recorder) error {
	err := f.head(id, c.fields, len(c.body)+len(c.trailers) == 0)
	for _, p := range c.body {
		if p.act != "" && err == nil { // behind a beginning that the upstream has
			up.await(2*time.Second, up.half)
		}
		switch {
		case err != nil:
			return err
		case p.act == "rst":
			err = f.WriteRSTStream(id, http2.ErrCodeCancel)
		case p.act == "close":
			err = f.Close()
		default:
			err = f.WriteData(id, p.end, []byte(p.data))
		}
	}
	if len(c.trailers) > 0 && err == nil {
		err = f.head(id, c.trailers, !c.open)
	}
	return err
}

// play plays a case and says what is wrong.
func (c *frameCase) play(addr string, up *recorder, n int) string {
	up.begin(&wireCase{reply: plainReply, kind: forward})
	f, err := dialFrames(addr)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if err := f.send(c, 1, up); err != nil {
		return err.Error()
	}
	var r framed
	gaveUp := slices.ContainsFunc(c.body, func(p piece) bool { return p.act != "" })
	if gaveUp {
		up.await(2*time.Second, func() bool { return !up.half() })
	}
	if !gaveUp {
		if r, err = f.read(1); err != nil {
			return fmt.Sprintf("no answer: %v", err)
		}
	}
	if !c.has("gone") { // nothing of the case gets in the way of others on its connection
		want := "probe-" + strconv.Itoa(n)
		if err := f.head(3, [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", "app.example.com"}, {":path", "/" + want}}, true); err != nil {
			return err.Error()
		}
		if p, err := f.read(3); err != nil || p.status != "200" || p.body != want {
			return fmt.Sprintf("a good request afterwards: %+v, %v", p, err)
		}
	}
	_ = f.Close()
	return c.judge(r, up.settle(2*time.Second))
}

// judge compares what came on both sides with the verdict.
func (c *frameCase) judge(r framed, arrivals []arrival) string {
	arrivals = slices.DeleteFunc(arrivals, func(a arrival) bool { return a.msg != nil && isProbe(a.msg) })
	whole := 0
	for _, a := range arrivals {
		switch {
		case a.msg != nil:
			whole++
		case !errors.Is(a.err, errMore):
			return fmt.Sprintf("unsafe: the upstream got what is no request (%v): %.300q", a.err, a.raw)
		}
	}
	switch c.verdict {
	case "forward":
		if whole != 1 || len(arrivals) != 1 {
			return fmt.Sprintf("the upstream got %d whole requests of %d; the client %+v", whole, len(arrivals), r)
		}
		if r.status != "200" || !r.whole || r.body != "case" && !c.has("head") {
			return fmt.Sprintf("the client got %+v", r)
		}
		return c.compare(arrivals[0].msg)
	case "cut":
		if whole > 0 {
			return fmt.Sprintf("unsafe: a whole request reached the upstream: %.300q", arrivals[0].msg.raw)
		}
		if r.status == "200" {
			return fmt.Sprintf("the client got %+v", r)
		}
		return ""
	case "reset":
		if len(arrivals) > 0 || r.reset != c.detail || r.status != "" {
			return fmt.Sprintf("the client got %+v, the upstream %d", r, len(arrivals))
		}
		return ""
	}
	if len(arrivals) > 0 || r.status != c.verdict || r.reason != c.detail {
		return fmt.Sprintf("the client got %+v, the upstream %d", r, len(arrivals))
	}
	return ""
}

// compare looks at a request that arrived, without the five fields of our own.
func (c *frameCase) compare(m *message) string {
	start, fields, body := c.want()
	var got, trailers []string
	for _, f := range m.fields {
		switch name := strings.ToLower(f[0]); name {
		case "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "via":
		default:
			got = append(got, name+": "+f[1])
		}
	}
	for _, f := range m.trailers {
		trailers = append(trailers, f[0]+": "+f[1])
	}
	slices.Sort(got)
	if s := strings.Join(m.start[:], " "); s != start || !slices.Equal(got, fields) || m.body != body || !slices.Equal(trailers, c.arrive) {
		return fmt.Sprintf("the upstream got %q %q, body %q, trailers %q\nwant %q %q, body %q, trailers %q", s, got, m.body, trailers, start, fields, body, c.arrive)
	}
	return ""
}
