package front

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/balance"
	"github.com/sluiceproxy/sluice/bench/lab/replica"
)

// Config is one front.
type Config struct {
	Kind  string // haproxy or nginx
	Dir   string
	Slots int
	Ready string        // path at the probe address of a replica
	Poll  time.Duration // of HAProxy's checks
}

// place is one set of addresses of a slot.
type place struct {
	Name            string // of the server in the configuration
	Web, Raw, Probe string
}

// Front is running until Close.
type Front struct {
	cfg      Config
	web, raw string
	places   map[string]place // by slot and turn: "a0", "a1"
	p        *replica.Process

	mu      sync.Mutex // guards changed
	changed chan struct{}
	running sync.WaitGroup
	quit    chan struct{} // closed by Close
}

// Start writes its configuration and waits until it accepts.
func Start(ctx context.Context, cfg Config) (*Front, error) {
	f := &Front{cfg: cfg, places: map[string]place{}, changed: make(chan struct{}), quit: make(chan struct{})}
	program, err := find(cfg.Kind)
	if err != nil {
		return nil, err
	}
	port := 15_000 + rand.IntN(15_000)
	take := func(addr *string) {
		if err == nil {
			*addr, port, err = replica.FreeAddress(port)
		}
	}
	take(&f.web)
	take(&f.raw)
	for i := range 2 * cfg.Slots { // twice as many: plans that scale out need them
		for turn := range 2 {
			p := place{Name: fmt.Sprintf("%c%d", 'a'+i, turn)}
			take(&p.Web)
			take(&p.Raw)
			take(&p.Probe)
			f.places[p.Name] = p
		}
	}
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	file := filepath.Join(cfg.Dir, cfg.Kind+".conf")
	text, args := f.haproxy(), []string{"-db", "-f", file}
	if cfg.Kind == "nginx" {
		text, args = f.nginx(), []string{"-p", cfg.Dir, "-c", file, "-e", "error.log"}
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	if f.p, err = replica.Launch(cfg.Dir, nil, nil, program, args...); err != nil {
		return nil, err
	}
	f.running.Go(f.look) // ends with quit
	if err := f.accepts(ctx); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func find(kind string) (string, error) {
	if kind != "haproxy" && kind != "nginx" {
		return "", fmt.Errorf("no front %q: there are haproxy and nginx", kind)
	}
	for _, name := range []string{kind, "/usr/sbin/" + kind, "/usr/local/sbin/" + kind} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", kind)
}

func (f *Front) accepts(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); ; {
		c, err := net.DialTimeout("tcp", f.web, time.Second)
		if err == nil {
			return c.Close()
		}
		select {
		case <-f.p.Exited():
			return fmt.Errorf("%s ended: %s", f.cfg.Kind, f.p.Tail())
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s does not accept: %w; %s", f.cfg.Kind, err, f.p.Tail())
		}
	}
}

// Web and Raw are where clients go.
func (f *Front) Web() string { return f.web }

// Raw is the door for raw TCP.
func (f *Front) Raw() string { return f.raw }

// Addresses are those of the n-th replica of a slot, n from 1.
func (f *Front) Addresses(slot string, n int) (web, raw, probe string) {
	p := f.places[fmt.Sprintf("%s%d", slot, n%2)]
	return p.Web, p.Raw, p.Probe
}

// server is the name of a replica ("a.2") in the configuration ("a0").
func (f *Front) server(name string) string {
	var slot rune
	var n int
	if _, err := fmt.Sscanf(name, "%c.%d", &slot, &n); err != nil {
		return name
	}
	return fmt.Sprintf("%c%d", slot, n%2)
}

// Add and Gone tell it nothing: it finds out.
func (f *Front) Add(balance.Backend) {}

// Gone tells it nothing.
func (f *Front) Gone(string) {}

// In is what HAProxy says of a replica; nginx sends to whoever does not refuse.
func (f *Front) In(name string) (bool, <-chan struct{}) {
	f.mu.Lock()
	changed := f.changed
	f.mu.Unlock()
	if f.cfg.Kind == "nginx" {
		return true, changed
	}
	return f.stat(f.server(name)).up, changed
}

// Carried is how many connections HAProxy gave to a replica's place. nginx does not say.
func (f *Front) Carried(name string) int {
	if f.cfg.Kind == "nginx" {
		return 1
	}
	return f.stat(f.server(name)).sessions
}

// look wakes those who wait for In, again and again: HAProxy has nobody who tells.
func (f *Front) look() {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.mu.Lock()
			close(f.changed)
			f.changed = make(chan struct{})
			f.mu.Unlock()
		case <-f.quit:
			return
		}
	}
}

// Close ends it.
func (f *Front) Close() {
	close(f.quit)
	f.running.Wait()
	f.p.Kill()
}
