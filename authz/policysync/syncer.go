package policysync

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/authz/policy"
)

// Target is told whether a policy is in force: a lifecycle target by shape.
type Target interface {
	Ready()        // once
	Waiting(error) // any number of times before
}

// Config says what to sync and how. Source and Apply are needed; the zero values of the
// rest are defaults.
type Config struct {
	Source Source
	// Apply compiles a version and puts it in force in every stage, or returns why it
	// cannot: then nothing was changed and the version is rejected. It is called from one
	// goroutine at a time and must not call the syncer.
	Apply  func(context.Context, Version, *policy.Document) error
	Target Target                                     // default: nobody
	Report func(check string, state State, err error) // health; called on changes; default: nobody
	Log    *slog.Logger                               // default: discard

	Poll     time.Duration // how often head is read without a hint; default 10s
	Release  string        // the version of this program, for min_proxy; without a number it is new enough
	Extra    []policy.File // what every version has here besides its own files
	StateDir string        // where the last good version is kept, and which was the highest; default: nowhere
	// Trust is that of the source, if it has one: what is kept must satisfy it, too.
	Trust *Trust
	// StartFromLastGood is the greatest age of the kept version that may be put in force
	// when the source gives none at start. Zero: never.
	StartFromLastGood time.Duration
	// Fresh says when the policy in force is too old; the zero value: never.
	Fresh FreshnessRule
	// Withhold is called with true when nobody may be let in by the policy in force any more, and with false when
	// that is over; from one goroutine at a time. It must not call the syncer. Needed for Deny.
	Withhold func(bool)
}

// Times of retries.
const (
	defaultPoll = 10 * time.Second
	firstRetry  = 250 * time.Millisecond // doubled up to Poll
	settleFor   = 100 * time.Millisecond // between two reads that must agree
	settleTries = 20
	// Least times between two rounds of which the second is on a hint: who may write to a source may give as many as he likes.
	paceGood = 100 * time.Millisecond
	paceBad  = time.Second // after one that was refused
)

// Syncer keeps the policy in force equal to the source's. It satisfies the shape of a
// lifecycle service. Its life is New, Start, any number of the others, Close.
type Syncer struct {
	config Config
	cancel context.CancelFunc // set by Start
	done   chan struct{}      // closed by run when it ends
	aged   chan struct{}      // closed by keepAge when it ends
	look   chan chan struct{} // run asks keepAge to look; what is sent is closed by then
	reload chan chan error    // Reload asks run; the answer is buffered

	mu        sync.Mutex // guards what follows
	started   bool
	status    Status
	confirmed time.Time // when the version in force was last seen to be the newest
	heard     time.Time // when the source last gave something that is believed: see hear

	// Owned by run.
	hints      <-chan struct{}
	watchErr   string    // last logged
	highest    Version   // of the ordered versions that were applied
	unnumbered string    // hash of the version of whose min_proxy was last said that nothing can be said
	keptHead   string    // hash of the raw head that was last to be kept
	unkept     *lastGood // the version in force, until it is kept
	ready      bool      // the target was told
	doubted    bool      // what the source gives is not believed
	reported   map[string]reported
}

// New returns a syncer that has not begun.
func New(config Config) *Syncer {
	if config.Poll == 0 {
		config.Poll = defaultPoll
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Report == nil {
		config.Report = func(string, State, error) {}
	}
	if config.Target == nil {
		config.Target = nobody{}
	}
	return &Syncer{
		config: config, done: make(chan struct{}), reload: make(chan chan error),
		aged: make(chan struct{}), look: make(chan chan struct{}),
		status: Status{Source: config.Source.Name(), Rejections: map[Reason]uint64{}}, reported: map[string]reported{},
	}
}

type nobody struct{}

func (nobody) Ready()        {}
func (nobody) Waiting(error) {}

// Name returns "policysync".
func (s *Syncer) Name() string { return "policysync" }

// Start begins to sync and returns; the target tells when a policy is in force. The
// context's end does not end the sync: Close does.
func (s *Syncer) Start(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		return errors.New("the policy syncer was started before")
	}
	s.started = true
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	s.config.Target.Waiting(fmt.Errorf("reading the first policy from %s", s.config.Source.Name()))
	// Owned by the syncer; stopped by cancel; joined by Close through done.
	go s.run(run)
	if s.config.Fresh.Max > 0 {
		// The same, through aged.
		go s.keepAge(run)
	} else {
		close(s.aged)
	}
	return nil
}

// Admit does nothing: that a policy is in force is what the target says.
func (s *Syncer) Admit() error { return nil }

// LameDuck does nothing: syncing goes on.
func (s *Syncer) LameDuck() {}

// Drain does nothing: revocations must reach what is still in flight.
func (s *Syncer) Drain(context.Context) error { return nil }

// Close ends the sync and waits for it.
func (s *Syncer) Close() error {
	s.mu.Lock()
	started, cancel := s.started, s.cancel
	s.mu.Unlock()
	if started {
		cancel()
		<-s.done
		<-s.aged
	}
	return nil
}

// ErrNotRunning is the answer of Reload before Start and after Close.
var ErrNotRunning = errors.New("the policy syncer is not running")

// Reload reads the source now, tries a rejected version once more, and returns why the
// newest version is not in force, or nil if it is.
func (s *Syncer) Reload(ctx context.Context) error {
	s.mu.Lock()
	started := s.started
	s.mu.Unlock()
	if !started {
		return ErrNotRunning
	}
	answer := make(chan error, 1)
	select {
	case s.reload <- answer:
	case <-s.done:
		return ErrNotRunning
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-s.done: // run answers what it took before it ends, unless it was cut
		select {
		case err := <-answer:
			return err
		default:
			return ErrNotRunning
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run is the owner of everything that changes.
func (s *Syncer) run(ctx context.Context) {
	defer close(s.done)
	defer func() {
		for s.hints != nil { // the source closes it once it released everything
			if _, ok := <-s.hints; !ok {
				s.hints = nil
			}
		}
	}()
	s.recall()
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	var asked chan error
	for wait, first := firstRetry, true; ctx.Err() == nil; first = false {
		s.watch(ctx)
		started := time.Now()
		err := s.round(ctx, asked != nil)
		if first && err != nil {
			s.startFromLastGood(ctx, err)
		}
		s.keepOwed(ctx)
		s.hear(started, err)
		s.lookNow(ctx)
		s.tell(err)
		if asked != nil {
			asked <- err
		}
		due := time.Now().Add(wait)
		if wait = min(2*wait, s.config.Poll); err == nil {
			due, wait = time.Now().Add(s.config.Poll), firstRetry
		}
		heed := started.Add(paceGood)
		if r := (*Refusal)(nil); errors.As(err, &r) {
			heed = started.Add(paceBad)
		}
		asked = s.rest(ctx, timer, due, heed)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lockWait) // the next process is to know what this one had in force
	defer cancel()
	s.keepOwed(last)
}

// rest waits until the next round is due: for who asks for one, for a hint that comes from heed on, or until due. It returns who asked.
func (s *Syncer) rest(ctx context.Context, timer *time.Timer, due, heed time.Time) (asked chan error) {
	for {
		hints, until := s.hints, due
		if time.Now().Before(heed) && heed.Before(due) {
			hints, until = nil, heed
		}
		timer.Reset(time.Until(until))
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			if !until.Before(due) {
				return nil
			}
		case asked := <-s.reload:
			return asked
		case _, ok := <-hints:
			if !ok {
				s.hints = nil // watching ended: begin anew with the next round
			}
			return nil
		}
	}
}

// watch begins to watch if that is not so. It comes before head is read, so that no
// change falls between.
func (s *Syncer) watch(ctx context.Context) {
	if s.hints != nil {
		return
	}
	hints, err := s.config.Source.Watch(ctx, s.Status().Version)
	if err == nil {
		s.hints, s.watchErr = hints, ""
		return
	}
	if text := err.Error(); text != s.watchErr {
		s.watchErr = text
		s.config.Log.Warn("policy source is polled, not watched", "err", err, "every", s.config.Poll)
	}
}

// tell passes the outcome of a round to the target and to health.
func (s *Syncer) tell(err error) {
	s.report()
	switch {
	case s.ready:
	case s.Status().Version != Version{}:
		s.ready = true
		s.config.Target.Ready()
	case err != nil:
		s.config.Target.Waiting(err)
	}
}
