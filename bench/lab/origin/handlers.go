package origin

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

func (g *generation) handler(l *ledger) http.Handler {
	m := http.NewServeMux()
	m.HandleFunc(ShortPath, func(w http.ResponseWriter, r *http.Request) { answer(w, r) })
	m.HandleFunc(SlowPath, slow)
	m.HandleFunc(EchoPath, echo)
	m.HandleFunc(EventsPath, events)
	m.HandleFunc(SocketPath, g.socket)
	m.HandleFunc(CallPath, call)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.note(r.Header.Get(IDField))
		g.head(w)
		m.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, r *http.Request) {
	body := Answer(r.Header.Get(IDField))
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = io.WriteString(w, body)
}

// wait is a pause that ends with the request; false: it did.
func wait(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

func duration(w http.ResponseWriter, r *http.Request) (time.Duration, bool) {
	d, err := time.ParseDuration(r.URL.Query().Get("d"))
	if err != nil || d < 0 || d > time.Minute {
		http.Error(w, "d must be a duration of at most a minute", http.StatusBadRequest)
		return 0, false
	}
	return d, true
}

// slow answers after d.
func slow(w http.ResponseWriter, r *http.Request) {
	if d, ok := duration(w, r); ok && wait(r, d) {
		answer(w, r)
	}
}

// echo answers with the body.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	if err != nil {
		return // the proxy gave up on the request: there is nobody to answer
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
}

// eventsEvery is the pace of a stream.
const eventsEvery = 100 * time.Millisecond

// events is a stream for d; its last event says so.
func events(w http.ResponseWriter, r *http.Request) {
	d, ok := duration(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	for end := time.Now().Add(d); time.Now().Before(end); {
		if _, err := io.WriteString(w, "data: still here\n\n"); err != nil {
			return
		}
		_ = http.NewResponseController(w).Flush()
		if !wait(r, eventsEvery) {
			return
		}
	}
	_, _ = io.WriteString(w, EventsEnd)
}

// socket is a WebSocket that echoes until the client's Close frame.
func (g *generation) socket(w http.ResponseWriter, r *http.Request) {
	accept, ok := acceptKey(r)
	if !ok {
		http.Error(w, "a WebSocket, please", http.StatusUpgradeRequired)
		return
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	g.mu.Lock()
	g.taken[c] = struct{}{}
	g.sockets.Add(1)
	g.mu.Unlock()
	defer func() {
		_ = c.Close()
		g.mu.Lock()
		delete(g.taken, c)
		g.mu.Unlock()
		g.sockets.Done()
	}()
	_ = c.SetDeadline(time.Time{})
	if _, err := io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "+accept+
		"\r\n"+GenerationField+": "+strconv.Itoa(g.number)+"\r\n\r\n"); err != nil {
		return
	}
	echoFrames(c, rw.Reader)
}

// echoFrames gives each frame back, up to and with a Close frame; then it waits for the FIN.
func echoFrames(w io.Writer, in *bufio.Reader) {
	for {
		f, err := ReadFrame(in)
		if err != nil {
			return
		}
		if err := WriteFrame(w, f, false); err != nil {
			return
		}
		if f.Op == OpClose {
			_, _ = io.Copy(io.Discard, in)
			return
		}
	}
}

// acceptRaw echoes bytes; the first line of a tunnel is its ID.
func (o *Origin) acceptRaw() {
	for {
		c, err := o.raw.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(10 * time.Millisecond) // a pace for trying again
			continue
		}
		o.running.Go(func() { o.tunnel(c) }) // ends with the connection
	}
}

func (o *Origin) tunnel(c net.Conn) {
	defer c.Close()
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return
	}
	o.tunnels[c] = struct{}{}
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		delete(o.tunnels, c)
		o.mu.Unlock()
	}()
	in := bufio.NewReader(c)
	line, err := in.ReadString('\n')
	if err != nil {
		return
	}
	o.ledger.note(line[:len(line)-1])
	if _, err := io.WriteString(c, line); err == nil {
		_, _ = io.Copy(c, in)
	}
}
