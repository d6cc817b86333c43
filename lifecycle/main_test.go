package lifecycle

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/health"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a manager with three services that write down what happens to them and to
// health, in one list.
type world struct {
	t        *testing.T
	m        *Manager
	health   *health.Registry
	signals  chan os.Signal
	services map[string]*fake
	quiet    func(time.Time) (time.Duration, bool)
	result   chan error
	began    time.Time

	mu  sync.Mutex
	log []string
}

// fake is a service that does what its hooks say.
type fake struct {
	w     *world
	name  string
	start func(context.Context) error
	admit func() error
	drain func(context.Context) error
	close func() error
	duck  func()
}

func (w *world) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, what)
}

// events returns what happened since the last call, in one line.
func (w *world) events() string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	s := strings.Join(w.log, " ")
	w.log = nil
	return s
}

func (f *fake) Name() string { return f.name }

// ready is in the notes of a call if the process was ready when it came.
func (f *fake) noteCall(verb string) {
	if f.w.health.Snapshot().Verdict(health.Ready).OK {
		verb += "(ready)"
	}
	f.w.note(f.name + "." + verb)
}

func (f *fake) Start(ctx context.Context) error {
	f.noteCall("start")
	if f.start != nil {
		return f.start(ctx)
	}
	return nil
}

func (f *fake) Admit() error {
	f.noteCall("admit")
	if f.admit != nil {
		return f.admit()
	}
	return nil
}

func (f *fake) LameDuck() {
	f.noteCall("duck")
	if f.duck != nil {
		f.duck()
	}
}

func (f *fake) Drain(ctx context.Context) error {
	f.noteCall("drain")
	if f.drain != nil {
		return f.drain(ctx)
	}
	return nil
}

func (f *fake) Close() error {
	f.noteCall("close")
	if f.close != nil {
		return f.close()
	}
	return nil
}

// Deliver writes down what the world outside is told.
func (w *world) Deliver(c health.Change) {
	if c.Process != nil {
		w.note("[" + c.Process.State.String() + "]")
	}
}

func newWorld(t *testing.T, cfg Config) *world {
	w := &world{
		t: t, health: health.NewRegistry(health.Config{}), signals: make(chan os.Signal),
		services: map[string]*fake{}, result: make(chan error, 1), began: time.Now(),
	}
	cfg.Health, cfg.Signals = w.health, w.signals
	cfg.Quiet = func(now time.Time) (time.Duration, bool) {
		if w.quiet == nil {
			return 0, false
		}
		return w.quiet(now)
	}
	cfg.Progress = func() []slog.Attr { return []slog.Attr{slog.Int("connections", 3)} }
	w.m = New(cfg)
	for _, name := range []string{"a", "b", "c"} {
		w.services[name] = &fake{w: w, name: name}
		w.m.Register(w.services[name])
	}
	return w
}

// run starts Run; every test ends with its result.
func (w *world) run(ctx context.Context) {
	go func() { w.result <- w.m.Run(ctx) }()
	synctest.Wait()
}

// serving brings the world to Serving and forgets how.
func (w *world) serving() {
	w.t.Helper()
	w.run(w.t.Context())
	if got := w.m.State(); got != Serving {
		w.t.Fatalf("state %v, want Serving", got)
	}
	w.events()
	w.began = time.Now()
}

func (w *world) term() { w.send(syscall.SIGTERM) }

func (w *world) send(sig os.Signal) {
	w.signals <- sig
	synctest.Wait()
}

// transitions is the transition log in one line.
func (w *world) transitions() string {
	var s []string
	for _, t := range w.m.Transitions() {
		s = append(s, t.String())
	}
	return strings.Join(s, ", ")
}

func (w *world) want(what, got, want string) {
	w.t.Helper()
	if got != want {
		w.t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}
