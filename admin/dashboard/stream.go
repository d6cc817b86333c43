package dashboard

import (
	"errors"
	"net/http"
	"sync"
	"time"
)

// stream is one response of type text/event-stream
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
type stream struct {
	control *http.ResponseController
	w       http.ResponseWriter
	ended   chan ending // has room for one; the first counts

	mu     sync.Mutex    // guards within, and the deadline with it: the later call must win
	within time.Duration // what the next event has
}

// ending is why a stream ends, and since when.
type ending struct {
	why Why
	at  time.Time
}

func (e ending) data() []byte { return []byte(`{"why":"` + string(e.why) + `"}`) }

// begin sends the head. The stream has no deadline as a whole, and nothing is read from it.
func (st *stream) begin() error {
	if err := errors.Join(st.control.SetReadDeadline(time.Time{}), st.bound()); err != nil {
		return err
	}
	h := st.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // nginx in front would wait for more
	st.w.WriteHeader(http.StatusOK)
	return st.control.Flush()
}

// send sends one event. data must be one line.
func (st *stream) send(event string, data []byte) error {
	if err := st.bound(); err != nil {
		return err
	}
	buf := make([]byte, 0, len(event)+len(data)+17)
	buf = append(append(buf, "event: "...), event...)
	buf = append(append(append(buf, "\ndata: "...), data...), "\n\n"...)
	if _, err := st.w.Write(buf); err != nil {
		return err
	}
	return st.control.Flush()
}

// bound gives what is sent next its time.
func (st *stream) bound() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.control.SetWriteDeadline(time.Now().Add(st.within))
}

// end tells the stream to end, and shortens the write that may be under way.
func (st *stream) end(e ending) {
	select {
	case st.ended <- e:
	default: // it ends already
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.within = lastWords
	_ = st.control.SetWriteDeadline(time.Now().Add(lastWords)) // without it the write has its full time
}
