package e2e

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// climbed is a request that an upstream of HTTP/2 got.
type climbed struct {
	told
	whole bool
	reset string // the code of its RST_STREAM
}

// summit is an upstream that speaks HTTP/2, frame by frame, and answers as the case says that is played.
type summit struct {
	ln      net.Listener
	running sync.WaitGroup

	mu      sync.Mutex // guards what follows
	changed *sync.Cond
	current *climbCase
	got     []*climbed
	conns   map[net.Conn]bool
}

func newSummit(t *testing.T) *summit {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &summit{ln: ln, conns: map[net.Conn]bool{}}
	u.changed = sync.NewCond(&u.mu)
	u.running.Go(u.accept) // ends with Close
	t.Cleanup(func() {
		_ = ln.Close()
		u.mu.Lock()
		for c := range u.conns {
			_ = c.Close()
		}
		u.mu.Unlock()
		u.running.Wait()
	})
	return u
}

func (u *summit) accept() {
	for {
		c, err := u.ln.Accept()
		if err != nil {
			return
		}
		u.mu.Lock()
		u.conns[c] = true
		u.mu.Unlock()
		u.running.Go(func() { u.serve(c) }) // ends with the connection
	}
}

// begin makes c the case that is played.
func (u *summit) begin(c *climbCase) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.current, u.got = c, nil
}

// settled waits until each request is whole or was reset, for a while, and returns them, but for those that look whether all is well.
func (u *summit) settled(within time.Duration) (all []climbed) {
	stop := time.AfterFunc(within, func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.changed.Broadcast()
	})
	defer stop.Stop()
	end := time.Now().Add(within)
	u.mu.Lock()
	defer u.mu.Unlock()
	for time.Now().Before(end) && u.open() {
		u.changed.Wait()
	}
	for _, r := range u.got {
		all = append(all, *r)
	}
	return all
}

// open reports whether a request is not over. Call with mu held.
func (u *summit) open() bool {
	for _, r := range u.got {
		if !r.whole && r.reset == "" {
			return true
		}
	}
	return false
}

// serve is one connection.
func (u *summit) serve(c net.Conn) {
	defer func() {
		_ = c.Close()
		u.mu.Lock()
		defer u.mu.Unlock()
		delete(u.conns, c)
	}()
	fr := http2.NewFramer(c, c)
	fr.AllowIllegalWrites = true
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c, preface); err != nil || fr.WriteSettings() != nil {
		return
	}
	f := &framer{Conn: c, Framer: fr}
	streams := map[uint32]*climbed{}
	for {
		frame, err := fr.ReadFrame()
		if err != nil || !u.take(f, frame, streams) {
			return
		}
	}
}

// take is one frame; false: the connection ends.
func (u *summit) take(f *framer, frame http2.Frame, streams map[uint32]*climbed) bool {
	id := frame.Header().StreamID
	r := streams[id]
	u.mu.Lock()
	defer u.mu.Unlock()
	defer u.changed.Broadcast()
	switch frame := frame.(type) {
	case *http2.SettingsFrame:
		return frame.IsAck() || f.WriteSettingsAck() == nil
	case *http2.PingFrame:
		return frame.IsAck() || f.WritePing(true, frame.Data) == nil
	case *http2.MetaHeadersFrame:
		if r == nil {
			r = &climbed{}
			streams[id] = r
			for _, h := range frame.Fields {
				r.add(h.Name, h.Value)
			}
			if path := frame.PseudoValue("path"); strings.HasPrefix(path, "/probe-") {
				return f.head(id, [][2]string{{":status", "200"}}, false) == nil && f.WriteData(id, true, []byte(path[1:])) == nil
			}
			u.got = append(u.got, r)
			r.whole = frame.StreamEnded()
			return !r.whole && !u.current.has("early") || u.answer(f, id)
		}
		for _, h := range frame.Fields {
			r.trailers = append(r.trailers, h.Name+": "+h.Value)
		}
		r.whole = true
		return u.current.has("early") || u.answer(f, id)
	case *http2.DataFrame:
		r.body += string(frame.Data())
		r.whole = frame.StreamEnded()
		return !r.whole || u.current.has("early") || u.answer(f, id)
	case *http2.RSTStreamFrame:
		if r != nil {
			r.reset = frame.ErrCode.String()
		}
	}
	return true
}

// answer plays the reply of the case; false: it ends the connection.
func (u *summit) answer(f *framer, id uint32) bool {
	for _, s := range u.current.reply {
		var err error
		code, isReset := strings.CutPrefix(s.act, "rst ")
		switch {
		case isReset:
			err = f.WriteRSTStream(id, codeOf(code))
		case s.act == "goaway":
			err = f.WriteGoAway(id, http2.ErrCodeNo, nil)
		case s.act == "close":
			return false
		case s.head != nil:
			err = f.head(id, s.head, s.end)
		case s.trailers != nil:
			err = f.head(id, s.trailers, s.end)
		default:
			err = f.WriteData(id, s.end, []byte(s.data))
		}
		if err != nil {
			return false
		}
	}
	return true
}

// codeOf is an error code by its name.
func codeOf(name string) http2.ErrCode {
	for c := http2.ErrCodeNo; c <= http2.ErrCodeHTTP11Required; c++ {
		if c.String() == name {
			return c
		}
	}
	panic("no error code: " + name)
}
