package origin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const patience = 20 * time.Second

func start(t *testing.T) *Origin {
	t.Helper()
	o, err := Start(Config{Web: "127.0.0.1:0", Raw: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
	return o
}

// TestRoll: the old server says goodbye, finishes what it has, and is gone; the new one
// answers on the same address meanwhile. Every request stands in the ledger once.
func TestRoll(t *testing.T) {
	o := start(t)
	kept := &http.Transport{MaxIdleConnsPerHost: 1}
	defer kept.CloseIdleConnections()
	ask := func(id, path string) (generation, body string, leave bool) {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+o.Web()+path, nil)
		req.Header.Set(IDField, id)
		resp, err := kept.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.Header.Get(GenerationField), string(text), resp.Close
	}
	if g, body, leave := ask("short-1", ShortPath); g != "1" || body != Answer("short-1") || leave {
		t.Fatalf("generation %s, leave %v, %q", g, leave, body)
	}
	rolled := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() { rolled <- o.Roll(ctx) }() // ends with the old server
	for o.Generation() != 2 && ctx.Err() == nil {
		time.Sleep(time.Millisecond) // until Roll has begun
	}
	g, _, leave := ask("short-2", ShortPath) // on the old connection, unless the old server was quicker
	if g == "1" && !leave {
		t.Error("the old server does not say goodbye")
	}
	if err := <-rolled; err != nil {
		t.Fatal(err)
	}
	if g, _, leave := ask("short-3", ShortPath); g != "2" || leave {
		t.Errorf("afterwards: generation %s, leave %v", g, leave)
	}
	if o.Requests() != 3 || len(o.Twice()) != 0 || o.Executed("short-2") != 1 {
		t.Errorf("ledger: %d requests, twice %q", o.Requests(), o.Twice())
	}
}

func TestEventsEnd(t *testing.T) {
	o := start(t)
	resp, err := http.Get("http://" + o.Web() + EventsPath + "?d=150ms")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || !strings.HasSuffix(string(body), EventsEnd) || !strings.HasPrefix(string(body), "data: ") {
		t.Errorf("%q, %v", body, err)
	}
}

// TestFrames: what is written is read, masked or not; an end within a frame is not one
// between two.
func TestFrames(t *testing.T) {
	for _, masked := range []bool{false, true} {
		var b bytes.Buffer
		if err := WriteFrame(&b, Frame{Op: OpText, Payload: []byte("hello")}, masked); err != nil {
			t.Fatal(err)
		}
		whole := b.Bytes()
		for cut := range len(whole) + 1 {
			f, err := ReadFrame(bufio.NewReader(bytes.NewReader(whole[:cut])))
			switch {
			case cut == len(whole) && (err != nil || f.Op != OpText || string(f.Payload) != "hello"):
				t.Errorf("masked %v: %+v %v", masked, f, err)
			case cut == 0 && !errors.Is(err, io.EOF), cut > 0 && cut < len(whole) && !errors.Is(err, io.ErrUnexpectedEOF):
				t.Errorf("masked %v, cut at %d: %v", masked, cut, err)
			}
		}
	}
	// RFC 6455 1.3
	if got := Accept("dGhlIHNhbXBsZSBub25jZQ=="); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("accept %q", got)
	}
}
