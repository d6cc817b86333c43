package issuer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func document(t testing.TB, keys ...jose.JSONWebKey) []byte {
	t.Helper()
	src, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestParseKeySet(t *testing.T) {
	k := chain()
	ec := jose.JSONWebKey{KeyID: "ec", Key: k.ecdsa.Public()}
	with := strings.Replace(string(document(t, ec)), `"keys":[`, `"more":1,"keys":[{"kty":"future","kid":"x"},`, 1)
	if set, err := ParseKeySet([]byte(with)); err != nil || set.Len() != 1 {
		t.Errorf("a key of a kind to come: %v", err)
	}
	for name, src := range map[string][]byte{
		"a secret":         document(t, jose.JSONWebKey{KeyID: "p", Key: k.ecdsa}),
		"a shared secret":  document(t, ec, jose.JSONWebKey{KeyID: "p", Key: []byte("secret")}),
		"none":             []byte(`{"keys":[]}`),
		"no keys":          []byte(`{}`),
		"no JSON":          []byte(`<html>`),
		"only encryption":  document(t, jose.JSONWebKey{KeyID: "e", Key: k.rsa.Public(), Use: "enc"}),
		"too many":         []byte(`{"keys":[` + strings.TrimSuffix(strings.Repeat("{},", maxKeys+1), ",") + `]}`),
		"too large":        bytes.Repeat([]byte(" "), maxKeySet+1),
		"a list":           []byte(`[]`),
		"keys, not a list": []byte(`{"keys":{}}`),
	} {
		if set, err := ParseKeySet(src); err == nil || set != nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestFile(t *testing.T) {
	k := chain()
	name := filepath.Join(t.TempDir(), "keys.json")
	put := func(src []byte) {
		if err := os.WriteFile(name, src, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := NewFile(name)
	if changed, err := f.Load(); changed || err == nil || f.Current() != nil || f.Refetch(context.Background()) {
		t.Errorf("a file that is not there: %v", err)
	}
	put(document(t, jose.JSONWebKey{KeyID: "a", Key: k.ecdsa.Public()}))
	if changed, err := f.Load(); !changed || err != nil || f.Current().Len() != 1 || !f.Refetch(context.Background()) {
		t.Errorf("%v, %v", changed, err)
	}
	first := f.Current()
	if changed, err := f.Load(); changed || err != nil || f.Current() != first {
		t.Errorf("the same again: %v, %v", changed, err)
	}
	put([]byte("{"))
	if changed, err := f.Load(); changed || err == nil || !strings.Contains(err.Error(), name) || f.Current() != first {
		t.Errorf("a broken one: %v, %v", changed, err)
	}
	if err := CheckFile(name); err == nil {
		t.Error("CheckFile takes it")
	}
	put(document(t, jose.JSONWebKey{KeyID: "b", Key: k.ecdsa.Public()}))
	if changed, err := f.Load(); !changed || err != nil || f.Current() == first {
		t.Errorf("another: %v, %v", changed, err)
	}
}

// publisher is an issuer's server, without a network.
type publisher struct {
	answer  atomic.Pointer[string] // nil: it does not answer
	status  int
	fetches atomic.Int32
	delay   time.Duration
}

func (p *publisher) RoundTrip(r *http.Request) (*http.Response, error) {
	p.fetches.Add(1)
	select {
	case <-time.After(p.delay):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	text := p.answer.Load()
	if text == nil {
		return nil, errors.New("connection refused")
	}
	h := http.Header{}
	if p.status == http.StatusFound {
		h.Set("Location", "https://evil.test/keys")
	}
	return &http.Response{StatusCode: p.status, Status: http.StatusText(p.status), Header: h, Body: io.NopCloser(strings.NewReader(*text)), Request: r}, nil
}

func (p *publisher) publish(t testing.TB, id string) {
	text := string(document(t, jose.JSONWebKey{KeyID: id, Key: chain().ecdsa.Public()}))
	p.answer.Store(&text)
}

func remote(t *testing.T, p *publisher) *Remote {
	t.Helper()
	r, err := NewRemote(RemoteConfig{URL: "https://idp.test/keys", Transport: p})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }() // ends with cancel
	t.Cleanup(func() { cancel(); <-done })
	return r
}

func TestRemote(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{status: http.StatusOK, delay: time.Second}
		p.publish(t, "a")
		r := remote(t, p)
		if !r.Refetch(context.Background()) || r.Current().Find("a", "ES256") == nil || p.fetches.Load() != 1 {
			t.Fatalf("the first fetch: %v, %d fetches", r.Err(), p.fetches.Load())
		}
		p.publish(t, "a2") // just after a fetch that would have been made anyway
		if !r.Refetch(context.Background()) || r.Current().Find("a2", "ES256") == nil || p.fetches.Load() != 2 {
			t.Errorf("a rotation just after: %v, %d fetches", r.Err(), p.fetches.Load())
		}
		p.publish(t, "b")
		for range 1000 { // a flood of tokens with keys that nobody has
			r.Refetch(context.Background())
		}
		if p.fetches.Load() != 2 || r.Current().Find("b", "ES256") != nil {
			t.Errorf("%d fetches within the interval", p.fetches.Load())
		}
		time.Sleep(30 * time.Second)
		fresh := make(chan bool, 100)
		for range cap(fresh) {
			go func() { fresh <- r.Refetch(context.Background()) }()
		}
		for range cap(fresh) {
			if !<-fresh {
				t.Error("not fresh")
			}
		}
		if p.fetches.Load() != 3 || r.Current().Find("b", "ES256") == nil {
			t.Errorf("%d fetches for 100 that asked at once", p.fetches.Load())
		}
		p.publish(t, "c")
		time.Sleep(12 * time.Minute)
		if r.Current().Find("c", "ES256") == nil {
			t.Error("not fetched by itself")
		}
		last := r.Current()
		p.answer.Store(nil)
		time.Sleep(2 * time.Hour)
		if r.Current() != last || r.Err() == nil || r.Refetch(context.Background()) {
			t.Errorf("an issuer that is gone: %v", r.Err())
		}
		if n := p.fetches.Load(); n > 30 {
			t.Errorf("%d fetches in two hours of nobody", n)
		}
		p.publish(t, "d")
		time.Sleep(12 * time.Minute)
		if r.Err() != nil || r.Current().Find("d", "ES256") == nil {
			t.Errorf("back again: %v", r.Err())
		}
	})
}

func TestRemoteThatAnswersNonsense(t *testing.T) {
	for name, p := range map[string]*publisher{"an error": {status: 500}, "a page": {status: 200}, "a redirect": {status: 302}, "too much": {status: 200}} {
		synctest.Test(t, func(t *testing.T) {
			text := "<html>"
			if name == "too much" {
				text = strings.Repeat(" ", 2*maxKeySet)
			}
			p.answer.Store(&text)
			r := remote(t, p)
			if r.Refetch(context.Background()) || r.Err() == nil || r.Current() != nil || p.fetches.Load() != 1 {
				t.Errorf("%s: %v, %d fetches", name, r.Err(), p.fetches.Load())
			}
		})
	}
}

// While no keys are known an issuer is asked again soon, then less often.
func TestRemoteThatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{status: http.StatusOK}
		r := remote(t, p)
		time.Sleep(5 * time.Second)
		if n := p.fetches.Load(); n < 3 || n > 4 {
			t.Errorf("%d fetches in the first five seconds", n)
		}
		p.publish(t, "a")
		time.Sleep(5 * time.Second)
		if r.Current() == nil {
			t.Errorf("not there after five seconds more: %v, %d fetches", r.Err(), p.fetches.Load())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{status: http.StatusOK}
		remote(t, p)
		time.Sleep(time.Hour)
		if n := p.fetches.Load(); n > 130 {
			t.Errorf("%d fetches in an hour of nobody", n)
		}
	})
}

// Whoever waits does so no longer than he says.
func TestRemoteThatIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &publisher{status: 200, delay: time.Hour}
		r := remote(t, p)
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		if r.Refetch(ctx) || time.Since(began) != 3*time.Second {
			t.Errorf("it waited for %v", time.Since(began))
		}
		time.Sleep(8 * time.Second)
		if r.Err() == nil {
			t.Error("a fetch has no end")
		}
	})
}

func TestURLs(t *testing.T) {
	for u, want := range map[string]bool{
		"https://idp.test/keys": true, "http://127.0.0.1:1/keys": true, "http://[::1]/keys": true, "http://localhost/k": true,
		"http://idp.test/keys": false, "http://127.0.0.1.evil.test/": false, "file:///etc/passwd": false, "https://": false, "idp.test": false,
		"https://u:p@idp.test/": false, "https://idp.test/#x": false, "https://idp.test/\n": false,
	} {
		if _, err := NewRemote(RemoteConfig{URL: u}); (err == nil) != want {
			t.Errorf("%s: %v", u, err)
		}
	}
}

// Keys of a process before are in force until there are others.
func TestRemoteThatKnowsKeysAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := chain()
		known, err := ParseKeySet(document(t, jose.JSONWebKey{KeyID: "a", Key: k.ecdsa.Public()}))
		if err != nil {
			t.Fatal(err)
		}
		var next atomic.Pointer[KeySet]
		gone := errors.New("gone")
		r, err := NewRemote(RemoteConfig{Known: known, Fetch: func(context.Context) (*KeySet, error) {
			if set := next.Load(); set != nil {
				return set, nil
			}
			return nil, gone
		}})
		if err != nil || r.Current() != known {
			t.Fatalf("before Run: %v", err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); r.Run(ctx) }() // ends with cancel
		defer func() { cancel(); <-done }()
		if r.Refetch(context.Background()) || !errors.Is(r.Err(), gone) || r.Current() != known {
			t.Errorf("a fetch that does not go well: %v", r.Err())
		}
		set, err := ParseKeySet(document(t, jose.JSONWebKey{KeyID: "b", Key: k.rsa.Public()}))
		if err != nil {
			t.Fatal(err)
		}
		next.Store(set)
		time.Sleep(35 * time.Second)
		if r.Current() != set || r.Err() != nil {
			t.Errorf("another set: %v", r.Err())
		}
		if set.Text() == known.Text() || set.Find("b", "PS256") == nil || set.Find("b", "ES256") != nil || set.Find("", "RS256") == nil {
			t.Error("the set is not what was fetched")
		}
	})
}
