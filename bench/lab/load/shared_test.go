package load

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/origin"
	"github.com/sluiceproxy/sluice/bench/lab/record"
)

// What a server does to an exchange of HTTP/2 that has a certain number is what the account says of it.
func TestSharedConnectionsThatLose(t *testing.T) {
	crimes := map[int]record.Cause{0: record.ResetBefore, 1: record.Status503, 2: record.WrongBody, 3: record.ResetMid, 4: record.StatusOther}
	addr := h2Server(t, func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(origin.IDField)
		n, _ := strconv.Atoi(id[strings.LastIndexByte(id, '-')+1:])
		call := strings.HasPrefix(id, record.GRPC.String())
		text := func(text string) {
			if call {
				w.Header().Set("Trailer", "Grpc-Status")
				text = string(origin.Message(text))
			}
			_, _ = w.Write([]byte(text))
			_ = http.NewResponseController(w).Flush()
		}
		right := origin.Answer(id)
		if call {
			right = id + " message 0"
		}
		switch crime := crimes[n%10]; {
		case crime == record.ResetBefore:
			panic(http.ErrAbortHandler)
		case crime == record.Status503:
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		case crime == record.WrongBody:
			text("something else")
			return
		case crime == record.ResetMid:
			_, _ = w.Write([]byte{0, 0, 0}) // of a message, or of a text
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case crime == record.StatusOther:
			if !call {
				w.WriteHeader(http.StatusTeapot)
				return
			}
			text(right)
			w.Header().Set("Grpc-Status", "14")
		case crime == record.OK:
			text(right)
			w.Header().Set("Grpc-Status", "0")
		}
	})
	for _, class := range []record.Class{record.H2Post, record.GRPC} {
		t.Run(class.String(), func(t *testing.T) {
			r := record.New(time.Now())
			g := New(Config{Web: addr, Profiles: []Profile{{Class: class, Rate: 100}}, Record: r})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			g.Run(ctx)
			s := r.Sum()
			c, want := s.Classes[class], 0
			for n := range c.Sent {
				if crimes[n%10] == record.OK {
					want++
				}
			}
			if c.Sent < 50 || c.OK != want {
				t.Errorf("%d of %d, want %d", c.OK, c.Sent, want)
			}
			for _, f := range s.Failures {
				n, _ := strconv.Atoi(f.ID[strings.LastIndexByte(f.ID, '-')+1:])
				if want := crimes[n%10]; f.Cause != want {
					t.Errorf("%s: %v (%s), want %v", f.ID, f.Cause, f.Err, want)
				}
			}
			if g.Open() != 0 {
				t.Errorf("%d connections are open", g.Open())
			}
		})
	}
}

// h2Server takes HTTP/2 by prior knowledge; it ends with the test.
func h2Server(t *testing.T, h http.HandlerFunc) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	s.Protocols.SetUnencryptedHTTP2(true)
	done := make(chan struct{})
	go func() { // ends with Close
		defer close(done)
		_ = s.Serve(ln)
	}()
	t.Cleanup(func() {
		_ = s.Close()
		<-done
	})
	return ln.Addr().String()
}
