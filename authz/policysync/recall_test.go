package policysync

import (
	"context"
	"testing"
)

// counted is a source that counts what is fetched.
type counted struct {
	Source
	head    Head
	objects map[string][]byte
	fetches int
}

func (c *counted) Head(context.Context) (Head, error) { return c.head, nil }
func (c *counted) Fetch(_ context.Context, hash string) ([]byte, error) {
	c.fetches++
	b, ok := c.objects[hash]
	if !ok {
		return nil, ErrGone
	}
	return b, nil
}

// Of a new version only what changed is fetched; what is damaged is not remembered, and what is not named any more is forgotten.
func TestRecall(t *testing.T) {
	a, b, c := []byte("a"), []byte("b"), []byte("c")
	src := &counted{objects: map[string][]byte{hashOf(a): a, hashOf(b): b, hashOf(c): c}}
	r := Recall(src).(*recalled)
	read := func(list ...[]byte) {
		t.Helper()
		src.head, src.fetches = Head{}, 0
		for _, x := range list {
			src.head.Objects = append(src.head.Objects, Object{Name: string(x), Hash: hashOf(x)})
		}
		h, err := r.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range h.Objects {
			got, err := r.Fetch(t.Context(), o.Hash)
			if err != nil || string(got) != string(list[i]) {
				t.Fatalf("%s is %q, %v", o.Name, got, err)
			}
		}
	}
	for i, step := range []struct {
		list    [][]byte
		fetches int
	}{{[][]byte{a, b}, 2}, {[][]byte{a, b}, 0}, {[][]byte{a, c}, 1}, {[][]byte{a, b}, 1}} {
		if read(step.list...); src.fetches != step.fetches || len(r.objects) != len(step.list) {
			t.Errorf("step %d: %d fetches, want %d; %d remembered", i+1, src.fetches, step.fetches, len(r.objects))
		}
	}
	d := []byte("d")
	src.objects[hashOf(d)] = []byte("another")
	for range 2 {
		src.fetches = 0
		if got, err := r.Fetch(t.Context(), hashOf(d)); string(got) != "another" || err != nil || src.fetches != 1 {
			t.Errorf("damaged: %q, %v, %d fetches", got, err, src.fetches)
		}
	}
	if _, err := r.Fetch(t.Context(), "none"); err != ErrGone {
		t.Errorf("gone: %v", err)
	}
}
