package sourcetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz/policysync"
)

// patience is how long the suite waits for a hint: far longer than any source needs.
const patience = 20 * time.Second

// Fixture is a source and a hand that can change what it holds.
type Fixture struct {
	Source policysync.Source
	// Publish makes files the whole content, atomically as far as the source promises,
	// and returns when that is done.
	Publish func(t *testing.T, files map[string]string)
}

// Run runs the suite. open makes a fixture that holds no policy.
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	for name, test := range map[string]func(*testing.T, Fixture){
		"no policy is an error of its own":       noPolicy,
		"head and fetch give what was published": contents,
		"reading again changes nothing":          stable,
		"head sees every publication":            linearizable,
		"fetch refuses what it does not have":    unknown,
		"watch gives a hint":                     watch,
		"watch ends with its context":            watchEnds,
		"a done context is an error":             cancelled,
		"no object is ever wrong":                neverWrong,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func head(t *testing.T, f Fixture) policysync.Head {
	t.Helper()
	h, err := f.Source.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// read returns all that a head names.
func read(t *testing.T, f Fixture, h policysync.Head) map[string]string {
	t.Helper()
	files := map[string]string{}
	last := ""
	for _, o := range h.Objects {
		b, err := f.Source.Fetch(t.Context(), o.Hash)
		if err != nil {
			t.Fatal(err)
		}
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != o.Hash {
			t.Errorf("%s is not what its hash says", o.Name)
		}
		if o.Name <= last {
			t.Errorf("%q comes after %q", o.Name, last)
		}
		last = o.Name
		files[o.Name] = string(b)
	}
	return files
}

func noPolicy(t *testing.T, f Fixture) {
	if f.Source.Name() == "" {
		t.Error("the source has no name")
	}
	if _, err := f.Source.Head(t.Context()); !errors.Is(err, policysync.ErrNoPolicy) {
		t.Errorf("got %v, want ErrNoPolicy", err)
	}
}

func contents(t *testing.T, f Fixture) {
	var last policysync.Version
	for _, files := range []map[string]string{
		{"a.yaml": "one"},
		{"a.yaml": "two"},
		{"a.yaml": "two", "b.yaml": "two"},
		{"b.yaml": "two"},
		{"b.yaml": ""},
	} {
		f.Publish(t, files)
		h := head(t, f)
		if h.Version.Number <= last.Number || h.Version.Hash == last.Hash || len(h.Version.Hash) != 64 {
			t.Errorf("version %v after %v", h.Version, last)
		}
		last = h.Version
		if got := read(t, f, h); !maps.Equal(got, files) {
			t.Errorf("got %q, want %q", got, files)
		}
	}
}

func stable(t *testing.T, f Fixture) {
	f.Publish(t, map[string]string{"a.yaml": "one"})
	if a, b := head(t, f), head(t, f); a.Version != b.Version {
		t.Errorf("got %v, then %v", a.Version, b.Version)
	}
}

func linearizable(t *testing.T, f Fixture) {
	for i := range 50 {
		files := map[string]string{"a.yaml": fmt.Sprint(i % 10)} // of equal length
		f.Publish(t, files)
		if got := read(t, f, head(t, f)); !maps.Equal(got, files) {
			t.Fatalf("got %q, want %q", got, files)
		}
	}
}

func unknown(t *testing.T, f Fixture) {
	f.Publish(t, map[string]string{"a.yaml": "one"})
	head(t, f)
	sum := sha256.Sum256([]byte("nobody published this"))
	if _, err := f.Source.Fetch(t.Context(), hex.EncodeToString(sum[:])); !errors.Is(err, policysync.ErrGone) {
		t.Errorf("got %v, want ErrGone", err)
	}
	for _, bad := range []string{"", "x", "../head", "..", "/etc/hosts"} {
		if b, err := f.Source.Fetch(t.Context(), bad); err == nil {
			t.Errorf("Fetch(%q) gave %q", bad, b)
		}
	}
}

func watch(t *testing.T, f Fixture) {
	f.Publish(t, map[string]string{"a.yaml": "one"})
	h := head(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	hints, err := f.Source.Watch(ctx, h.Version)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		want := map[string]string{"a.yaml": fmt.Sprint("change ", i)}
		f.Publish(t, want)
		waitFor(t, hints, func() bool { return maps.Equal(read(t, f, head(t, f)), want) })
	}
	cancel()
	waitClosed(t, hints)
}

// waitFor takes hints until one comes at which the condition holds.
func waitFor(t *testing.T, hints <-chan struct{}, holds func() bool) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case _, ok := <-hints:
			if !ok {
				t.Fatal("watching ended")
			}
			if holds() {
				return
			}
		case <-late:
			t.Fatal("no hint")
		}
	}
}

func waitClosed(t *testing.T, hints <-chan struct{}) {
	t.Helper()
	late := time.After(patience)
	for {
		select {
		case _, ok := <-hints:
			if !ok {
				return
			}
		case <-late:
			t.Fatal("watching did not end")
		}
	}
}

func watchEnds(t *testing.T, f Fixture) {
	f.Publish(t, map[string]string{"a.yaml": "one"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	hints, err := f.Source.Watch(ctx, policysync.Version{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	waitClosed(t, hints)
}

func cancelled(t *testing.T, f Fixture) {
	f.Publish(t, map[string]string{"a.yaml": "one"})
	h := head(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Source.Head(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Head: %v", err)
	}
	if _, err := f.Source.Fetch(ctx, h.Objects[0].Hash); !errors.Is(err, context.Canceled) {
		t.Errorf("Fetch: %v", err)
	}
}

// neverWrong reads while another writes: each object is what its hash says, or gone.
func neverWrong(t *testing.T, f Fixture) {
	f.Publish(t, map[string]string{"a.yaml": "0", "b.yaml": "0"})
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				h, err := f.Source.Head(context.Background())
				if err != nil {
					continue // replaced under our hands: the next read sees it whole
				}
				for _, o := range h.Objects {
					b, err := f.Source.Fetch(context.Background(), o.Hash)
					if sum := sha256.Sum256(b); err == nil && hex.EncodeToString(sum[:]) != o.Hash {
						t.Errorf("%s is not what its hash says", o.Name)
					}
				}
			}
		})
	}
	for i := range 20 {
		f.Publish(t, map[string]string{"a.yaml": fmt.Sprint(i), "b.yaml": fmt.Sprint(-i)})
	}
	close(stop)
	readers.Wait()
}
