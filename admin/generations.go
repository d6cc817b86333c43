package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/lifecycle/handover"
)

// Generation is a process of the line of upgrades: this one, or one that drains still.
type Generation struct {
	Generation int            `json:"generation"`
	PID        int            `json:"pid"`
	State      string         `json:"state"` // serving (this one), draining, drained, gone
	Error      string         `json:"error,omitempty"`
	Drain      Progress       `json:"drain,omitzero"`
	Receipt    *drain.Receipt `json:"receipt,omitempty"` // so far, and in the end
}

// The states of a generation.
const (
	generationServing  = "serving"
	generationDraining = "draining"
	generationDrained  = "drained"
	generationGone     = "gone" // it ended without an account
)

// askGeneration bounds a question to another generation: a scrape must not wait for one
// that hangs.
const askGeneration = 500 * time.Millisecond

// Generations are the processes that drain still, as this one reaches them. Each is
// watched until its end.
type Generations struct {
	log     *slog.Logger
	changed func(left int) // called when one is over

	cancel context.CancelFunc
	ctx    context.Context
	wg     sync.WaitGroup

	members []*member // oldest first; not written after NewGenerations
}

// member is one of them.
type member struct {
	handover.Member
	client http.Client
	over   chan struct{} // closed by watch, once it is known how it ended

	mu    sync.Mutex // guards what follows
	state string
	err   string
	last  Progress
	sofar *drain.Receipt // nil: none yet; the final one once it is drained
}

// NewGenerations reaches members. changed, which may be nil, is told how many are left when
// one is over.
func NewGenerations(members []handover.Member, changed func(left int), log *slog.Logger) *Generations {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if changed == nil {
		changed = func(int) {}
	}
	g := &Generations{log: log, changed: changed}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	for _, m := range members {
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", m.Control)
		}
		g.members = append(g.members, &member{Member: m, state: generationDraining, over: make(chan struct{}),
			client: http.Client{Transport: keyed{&http.Transport{DisableKeepAlives: true, DialContext: dial}, m.Secret}}})
	}
	return g
}

// keyed opens a control socket.
type keyed struct {
	http.RoundTripper
	secret string
}

// RoundTrip implements http.RoundTripper.
func (k keyed) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+k.secret)
	return k.RoundTripper.RoundTrip(r)
}

// Name implements lifecycle.Service.
func (g *Generations) Name() string { return "generations" }

// Start watches each until its end.
func (g *Generations) Start(context.Context) error {
	for _, m := range g.members {
		g.wg.Go(func() { g.watch(m) }) // ends with the member, or with Close
	}
	return nil
}

// Admit implements lifecycle.Service.
func (g *Generations) Admit() error { return nil }

// LameDuck implements lifecycle.Service.
func (g *Generations) LameDuck() {}

// Drain implements lifecycle.Service: they drain by themselves.
func (g *Generations) Drain(context.Context) error { return nil }

// Close stops watching.
func (g *Generations) Close() error {
	g.cancel()
	g.wg.Wait()
	return nil
}

// How long a question that failed waits before it is asked again.
const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 2 * time.Second
)

// watch waits for the account of a member. As long as its socket is there it lives: a
// question that failed is asked again.
func (g *Generations) watch(m *member) {
	var r drain.Receipt
	err := m.get(g.ctx, "/final", &r)
	for wait := firstRetry; err != nil && !errors.Is(err, syscall.ECONNREFUSED); wait = min(2*wait, lastRetry) {
		select {
		case <-g.ctx.Done():
			return
		case <-time.After(wait):
		}
		err = m.get(g.ctx, "/final", &r)
	}
	if g.ctx.Err() != nil {
		return
	}
	m.mu.Lock()
	if err != nil {
		m.state, m.err = generationGone, err.Error()
	} else {
		m.state, m.sofar = generationDrained, &r
		m.last.Remaining = drain.ClassCounts{}
	}
	m.mu.Unlock()
	close(m.over)
	if err != nil {
		g.log.Error("a draining generation ended without an account", "generation", m.Generation, "pid", m.PID, "err", err)
	} else {
		g.log.Info("a draining generation is done", "generation", m.Generation, "pid", m.PID, "summary", r.String())
	}
	g.changed(len(g.Draining()))
}

// ended is the account, in one line, of a member that does not answer: its last word may be
// on its way. Empty: there is none.
func (m *member) ended(ctx context.Context) string {
	late := time.NewTimer(askGeneration)
	defer late.Stop()
	select {
	case <-m.over:
	case <-late.C:
	case <-ctx.Done():
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state != generationDrained {
		return ""
	}
	return m.sofar.String()
}

// get asks a member.
func (m *member) get(ctx context.Context, path string, out any) error {
	return m.do(ctx, http.MethodGet, path, nil, out)
}

// Draining lists who drains still, oldest first.
func (g *Generations) Draining() (left []handover.Member) {
	if g == nil {
		return nil
	}
	for _, m := range g.members {
		m.mu.Lock()
		if m.state == generationDraining {
			left = append(left, m.Member)
		}
		m.mu.Unlock()
	}
	return left
}

// LastReceipt is the account of whoever was the last to end its drain; nil: nobody has yet.
func (g *Generations) LastReceipt() (last *drain.Receipt) {
	if g == nil {
		return nil
	}
	for _, m := range g.members {
		m.mu.Lock()
		if r := m.sofar; m.state == generationDrained && r.Schema == drain.ReceiptSchema && (last == nil || r.EndedAt().After(last.EndedAt())) {
			last = r // final: nobody writes it any more
		}
		m.mu.Unlock()
	}
	return last
}

// List asks each how it does, for at most half a second; one that does not answer in time
// is listed as it was last seen.
func (g *Generations) List(ctx context.Context) []Generation {
	if g == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askGeneration)
	defer cancel()
	list := make([]Generation, len(g.members))
	var wg sync.WaitGroup
	for i, m := range g.members {
		wg.Go(func() { list[i] = m.look(ctx) }) // ends with ctx
	}
	wg.Wait()
	return list
}

func (m *member) look(ctx context.Context) Generation {
	m.mu.Lock()
	draining := m.state == generationDraining
	m.mu.Unlock()
	var p Progress
	var sofar *drain.Receipt
	var err error
	if draining {
		var r drain.Receipt
		if err = m.get(ctx, "/drain", &p); err == nil && m.get(ctx, "/receipt?peers=1", &r) == nil {
			sofar = &r // there is none before it drains
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if draining && m.state == generationDraining { // it may have ended meanwhile
		m.err = ""
		if err != nil {
			m.err = "no answer: " + err.Error()
		} else {
			m.last, m.sofar = p, sofar
		}
	}
	return Generation{Generation: m.Generation, PID: m.PID, State: m.state, Error: m.err, Drain: m.last, Receipt: m.sofar}
}

// Evict cuts the oldest so that at most keep drain on.
func (g *Generations) Evict(ctx context.Context, keep int) {
	left := g.Draining()
	for i, m := range left {
		if len(left)-i <= keep {
			return
		}
		g.log.Warn("too many generations drain: the oldest is cut", "generation", m.Generation, "pid", m.PID, "keep", keep)
		if err := g.find(m.Generation).act(ctx, ActionCut); err != nil {
			g.log.Error("it cannot be cut", "generation", m.Generation, "pid", m.PID, "err", err)
		}
	}
}

func (g *Generations) find(generation int) *member {
	if g != nil {
		for _, m := range g.members {
			if m.Generation == generation {
				return m
			}
		}
	}
	return nil
}

// do sends a request to a member and reads the answer into out; nil: it is of no interest.
func (m *member) do(ctx context.Context, method, path string, in, out any) error {
	r, err := jsonRequest(ctx, method, "http://localhost"+path, in)
	if err != nil {
		return err
	}
	res, err := m.client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return errors.New(res.Status)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(http.MaxBytesReader(nil, res.Body, maxAnswer)).Decode(out)
}

func (m *member) act(ctx context.Context, a Action) error {
	ctx, cancel := context.WithTimeout(ctx, askGeneration)
	defer cancel()
	return m.do(ctx, http.MethodPost, "/drain", drainAction{Action: a}, nil)
}
