package dashboard

import (
	"errors"
	"net/http"
	"sync"
	"time"
)

// Bounds that are not the caller's.
const (
	restFor   = 50                     // times what a look took, until the next one
	lastWords = 100 * time.Millisecond // for a stream that ends
)

// Errors of Serve. It has written nothing then.
var (
	ErrFull = errors.New("as many pages are open as may be")
	ErrOver = errors.New("this process is about to exit")
)

// Why says why streams end, as their last event does.
type Why string

// The reasons. The set is closed.
const (
	Drained    Why = "drained"     // the drain is over: the process exits, or is parked
	HandedOver Why = "handed_over" // a successor answers here
	Over       Why = "over"        // the process exits
	Withdrawn  Why = "withdrawn"   // whoever looks may not any more
)

// Look is what there is to see.
type Look struct {
	Data []byte        // JSON in one line
	Next time.Duration // until the next one, at least
}

// Config configures Streams.
type Config struct {
	// Look looks. It is called by one goroutine at a time, and bounds itself.
	Look func() Look
	// Max is how many streams there may be at a time (default 8).
	Max int
	// WriteTimeout is what a reader has to take one event (default 5s).
	WriteTimeout time.Duration
}

// Streams are the streams of events of all pages that are open. Safe for concurrent use.
type Streams struct {
	cfg Config

	looking sync.Mutex // guards what follows, and is held while looking: who wants a look waits for the one under way
	last    Look
	taken   time.Time // when it began; zero: never
	rest    time.Duration

	mu   sync.Mutex // guards what follows
	open map[*stream]struct{}
	over bool // Close was called
}

// NewStreams makes them. Look must be set.
func NewStreams(cfg Config) *Streams {
	if cfg.Max <= 0 {
		cfg.Max = 8
	}
	if cfg.WriteTimeout <= 0 {
		cfg.WriteTimeout = 5 * time.Second
	}
	return &Streams{cfg: cfg, open: map[*stream]struct{}{}}
}

// Serve sends looks until the client goes, the streams are ended, or still says that r may
// not look any more; it is asked before each event, and nil is always. It returns ErrFull
// or ErrOver, or nil when the stream is over.
func (s *Streams) Serve(w http.ResponseWriter, r *http.Request, still func() bool) error {
	st := &stream{control: http.NewResponseController(w), w: w, within: s.cfg.WriteTimeout, ended: make(chan ending, 1)}
	if err := s.join(st); err != nil {
		return err
	}
	defer s.leave(st)
	s.follow(st, r, still)
	return nil
}

func (s *Streams) join(st *stream) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over:
		return ErrOver
	case len(s.open) >= s.cfg.Max:
		return ErrFull
	}
	s.open[st] = struct{}{}
	return nil
}

func (s *Streams) leave(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, st)
}

// follow sends one look after the other.
func (s *Streams) follow(st *stream, r *http.Request, still func() bool) {
	if st.begin() != nil {
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case e := <-st.ended:
			look, _ := s.look(e.at)
			_ = st.send("look", look) // it may be the last that anybody sees of this process
			_ = st.send("end", e.data())
			return
		case <-timer.C:
		}
		if still != nil && !still() {
			_ = st.send("end", ending{why: Withdrawn}.data())
			return
		}
		look, next := s.look(time.Time{})
		if st.send("look", look) != nil {
			return
		}
		timer.Reset(next)
	}
}

// look is the look that is to be shown now, taken at since or later, and how long until the next.
func (s *Streams) look(since time.Time) (data []byte, next time.Duration) {
	s.looking.Lock()
	defer s.looking.Unlock()
	if age := time.Since(s.taken); !s.taken.IsZero() && age < s.rest && !s.taken.Before(since) {
		return s.last.Data, s.rest - age
	}
	s.taken = time.Now()
	s.last = s.cfg.Look()
	s.rest = max(s.last.Next, restFor*time.Since(s.taken))
	return s.last.Data, s.rest
}

// End ends the streams that are open and returns at once. New ones may begin.
func (s *Streams) End(why Why) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := ending{why, time.Now()}
	for st := range s.open {
		st.end(e)
	}
}

// Close is End, and lets none begin any more.
func (s *Streams) Close() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.End(Over)
}

// Open is how many there are.
func (s *Streams) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}
