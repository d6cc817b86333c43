package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// G4: what was cut is listed in the receipt. By request ID, and not one more or less than
// the clients miss.

// missing is what the clients of this file have sent and got no whole answer to.
type missing struct {
	mu   sync.Mutex // guards what follows
	lost []string   // request IDs, and "tcp " with the client's address for tunnels without one
	kept []string
}

func (m *missing) note(whole bool, ids ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if whole {
		m.kept = append(m.kept, ids...)
	} else {
		m.lost = append(m.lost, ids...)
	}
}

// whole reports whether an answer is the upstream's and complete.
func whole(a answer, err error) bool { return err == nil && a.status == 200 }

// cutKinds are the ways in which the deadline meets a connection. Each takes an open
// connection, sends, tells that it has, and returns when it knows what became of it.
var cutKinds = map[string]func(m *missing, w *wire, id string, sent func()){
	"a response under way": func(m *missing, w *wire, id string, sent func()) {
		ask(w, sent, get("/slow?d=60s", "X-Request-ID: "+id))
		m.note(whole(w.read("GET")), id)
	},
	"a stream of events": func(m *missing, w *wire, id string, sent func()) {
		ask(w, sent, get("/events?d=60s", "X-Request-ID: "+id))
		m.note(whole(w.read("GET")), id)
	},
	"an upload": func(m *missing, w *wire, id string, sent func()) {
		ask(w, sent, "POST /echo HTTP/1.1\r\nHost: a\r\nX-Request-ID: "+id+"\r\nContent-Length: 100\r\n\r\nhalf")
		m.note(whole(w.read("POST")), id)
	},
	"a batch": func(m *missing, w *wire, id string, sent func()) {
		ids, batch := []string{id + "-0"}, get("/slow?d=60s", "X-Request-ID: "+id+"-0")
		for i := range 3 {
			ids = append(ids, fmt.Sprintf("%s-%d", id, i+1))
			batch += get("/behind", "X-Request-ID: "+ids[i+1])
		}
		ask(w, sent, batch)
		for _, id := range ids {
			m.note(whole(w.read("GET")), id)
		}
	},
	"a reader that does not read": func(m *missing, w *wire, id string, sent func()) {
		ask(w, sent, get("/big", "X-Request-ID: "+id))
		<-stopped(w)
		m.note(whole(w.read("GET")), id)
	},
	"a tunnel by Upgrade": func(m *missing, w *wire, id string, sent func()) {
		ask(w, sent, get("/tunnel", "Connection: Upgrade", "Upgrade: echo", "X-Request-ID: "+id))
		_, err := w.read("GET")
		if err == nil {
			_, err = io.ReadAll(w.in)
		}
		m.note(err == nil, id)
	},
}

func ask(w *wire, sent func(), request string) {
	_, _ = io.WriteString(w, request) // a failure shows when the answer is read
	sent()
}

// stopped is the channel that a slowWire was made with.
func stopped(w *wire) <-chan struct{} { return w.Conn.(*stuckConn).exited }

// stuckConn knows when the process that it talks to is gone.
type stuckConn struct {
	*wire
	exited <-chan struct{}
}

func TestG4TheReceiptNamesEveryLossByRequest(t *testing.T) {
	t.Parallel()
	const each = 5
	for _, driver := range []string{"epoll", "portable"} {
		t.Run(driver, func(t *testing.T) {
			up := newUpstream(t)
			s := serve(t, up, setup{drain: "{timeout: 1s, idle_close: 300ms}", extra: "trusted_proxies: [127.0.0.0/8]",
				env: []string{"SLUICE_ENGINE_DRIVER=" + driver}})
			m := &missing{}
			var running, sending sync.WaitGroup
			for name, kind := range cutKinds {
				for i := range each {
					w, err := connect(s.web, patience)
					if err != nil {
						t.Fatal(err)
					}
					defer w.Close()
					id := fmt.Sprintf("%s-%d", strings.ReplaceAll(name, " ", "-"), i)
					sending.Add(1)
					running.Go(func() { kind(m, &wire{&stuckConn{w, s.exited}, w.in}, id, sending.Done) }) // ends with the connection
				}
			}
			for range each {
				w := tunnel(t, s, "raw", "")
				running.Go(func() { // ends with the connection
					_, err := io.ReadAll(w.in)
					m.note(err == nil, "tcp "+w.LocalAddr().String())
				})
				if w, err := connect(s.web, patience); err != nil {
					t.Fatal(err)
				} else { // and some that nothing happens to: they are not named
					defer w.Close()
					a, err := w.ask(get("/fine", fmt.Sprintf("X-Request-ID: fine-%p", w)))
					m.note(whole(a, err), fmt.Sprintf("fine-%p", w))
				}
			}
			sending.Wait()
			eventually(t, "every request is upstream", func() bool {
				return len(up.log("/slow"))+len(up.log("/events"))+len(up.log("/echo"))+len(up.log("/big"))+len(up.log("/tunnel")) == len(cutKinds)*each
			})
			s.signal(t, syscall.SIGTERM)
			if code := s.exit(t, patience); code != 3 {
				t.Errorf("exit code %d, want 3", code)
			}
			running.Wait()
			r := s.receipt(t)
			t.Logf("%d cut, %d stuck, %d bytes unsent, kernel %+v", r.CutTotal, r.StuckTotal, r.BytesUnsent, *r.Kernel)
			named := r.lost()
			slices.Sort(m.lost)
			slices.Sort(named)
			if !slices.Equal(m.lost, named) {
				t.Errorf("the clients miss\n%q\nthe receipt names\n%q", m.lost, named)
			}
			if len(m.kept) != each || len(m.lost) != (len(cutKinds)+3+1)*each {
				t.Errorf("%d lost and %d kept, want %d and %d: the test injects something else than it says", len(m.lost), len(m.kept), (len(cutKinds)+3+1)*each, each)
			}
			if n := r.CutTotal + r.StuckTotal; n != (len(cutKinds)+1)*each {
				t.Errorf("%d connections cut or stuck, want %d", n, (len(cutKinds)+1)*each)
			}
			if r.BytesUnsent == 0 && r.StuckTotal == 0 {
				t.Error("no bytes unsent, though clients did not read")
			}
			obeys(t, receiptSchema, s.file("receipt.json"))
		})
	}
}

// lost is everything that the receipt says was lost, in the words of missing.
func (r receipt) lost() (all []string) {
	for _, h := range slices.Concat(r.Cut, r.Stuck) { // on a busy machine some do not end within the time of the cut
		if len(h.Requests) == 0 {
			all = append(all, h.Protocol+" "+h.Peer)
		}
		all = append(all, h.Requests...)
	}
	return all
}

// receiptSchema is the published form of a receipt.
const receiptSchema = "../docs/receipt.schema.json"

// obeys validates a file against a published schema.
func obeys(t *testing.T, form, name string) {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(form)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%s breaks %s: %v\n%s", name, form, err, text)
	}
	// The schema allows what it does not know. What this version writes, it must know.
	var raw map[string]any
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	for key := range raw {
		if schema.Properties[key] == nil {
			t.Errorf("the schema does not know %q", key)
		}
	}
}

// TestG4ARequestThatCrossedIsCounted: an idle close is expected to lose a request now and
// then, and what it did lose is said beside that.
func TestG4ARequestThatCrossedIsCounted(t *testing.T) {
	t.Parallel()
	for _, driver := range []string{"epoll", "portable"} {
		t.Run(driver, func(t *testing.T) {
			s := serve(t, newUpstream(t), setup{env: []string{"SLUICE_ENGINE_DRIVER=" + driver}})
			var idle []*wire
			for range 2 {
				w, err := connect(s.web, patience)
				if err != nil {
					t.Fatal(err)
				}
				defer w.Close()
				if a, err := w.ask(get("/warm")); err != nil || a.status != 200 {
					t.Fatalf("warm: %d %v", a.status, err)
				}
				idle = append(idle, w)
			}
			s.signal(t, syscall.SIGTERM)
			if _, err := idle[0].in.ReadByte(); err != io.EOF {
				t.Errorf("an idle connection ended by %v, want FIN", err)
			}
			if _, err := io.WriteString(idle[0], get("/crossed")); err != nil { // as if it had been sent just before
				t.Errorf("the request that crosses: %v", err)
			}
			if rest, err := io.ReadAll(idle[1].in); err != nil || len(rest) > 0 {
				t.Errorf("the other idle connection ended by %q, %v", rest, err)
			}
			for _, w := range idle {
				_ = w.Close()
			}
			if code := s.exit(t, patience); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			r := s.receipt(t)
			if r.Outcomes.IdleClosed != 2 || r.ActualLoss != 1 || r.ExpectedLoss <= 0 {
				t.Errorf("the receipt: %d closed idle, %d lost by that, %v expected; want 2, 1 and some", r.Outcomes.IdleClosed, r.ActualLoss, r.ExpectedLoss)
			}
		})
	}
}
