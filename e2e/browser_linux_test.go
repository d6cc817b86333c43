package e2e

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// browser is Chromium without a window, spoken to by its debugging pipe: messages in JSON, a
// zero byte behind each. One goroutine, the test's, reads and writes.
type browser struct {
	from    *os.File // what in reads
	t       *testing.T
	in      *bufio.Reader
	out     *os.File
	session string
	next    int
	// What the page did meanwhile.
	requests []string
	faults   []string
	failures []string // of requests
	loaded   int
}

// cdp is a message of the protocol.
type cdp struct {
	ID        int             `json:"id,omitempty"`
	Method    string          `json:"method,omitempty"`
	Params    json.RawMessage `json:"params,omitempty"`
	Result    json.RawMessage `json:"result,omitempty"`
	Error     json.RawMessage `json:"error,omitempty"`
	SessionID string          `json:"sessionId,omitempty"`
}

// newBrowser needs Chromium, which is large: without it the test is skipped, but where
// everything is required (make heavy). flags are more of its own.
func newBrowser(t *testing.T, flags ...string) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		if heavy() {
			t.Fatal("no chromium: e2e/setup.sh browser installs it")
		}
		t.Skip("no chromium (e2e/setup.sh browser)")
	}
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "browser-")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append([]string{"--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe", "--user-data-dir=" + dir,
		"--window-size=1200,1500", "--disable-dev-shm-usage"}, flags...)...)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = theirIn.Close(), theirOut.Close()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_, _ = in.Close(), out.Close()
		_ = os.RemoveAll(dir)
	})
	b := &browser{t: t, in: bufio.NewReaderSize(out, 1<<20), from: out, out: in}
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Network", "Runtime", "Log"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

// call sends a command and waits for its answer; what else comes is noted.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	_ = b.from.SetReadDeadline(time.Now().Add(3 * patience)) // of each call: between two the test may wait for its turn
	b.next++
	id := b.next
	p, err := json.Marshal(params)
	if err != nil {
		b.t.Fatal(err)
	}
	if params == nil {
		p = nil
	}
	text, _ := json.Marshal(cdp{ID: id, Method: method, Params: p, SessionID: b.session})
	if _, err := b.out.Write(append(text, 0)); err != nil {
		b.t.Fatal(err)
	}
	for {
		m := b.read()
		if m.ID != id {
			continue
		}
		if m.Error != nil {
			b.t.Fatalf("%s: %s", method, m.Error)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				b.t.Fatal(err)
			}
		}
		return
	}
}

func (b *browser) read() (m cdp) {
	b.t.Helper()
	text, err := b.in.ReadBytes(0)
	if err != nil {
		b.t.Fatalf("chromium: %v", err)
	}
	if err := json.Unmarshal(text[:len(text)-1], &m); err != nil {
		b.t.Fatal(err)
	}
	switch m.Method {
	case "Network.requestWillBeSent":
		var p struct{ Request struct{ URL string } }
		_ = json.Unmarshal(m.Params, &p)
		b.requests = append(b.requests, p.Request.URL)
	case "Network.loadingFailed":
		b.failures = append(b.failures, string(m.Params))
	case "Runtime.exceptionThrown", "Log.entryAdded":
		b.faults = append(b.faults, string(m.Params))
	case "Runtime.consoleAPICalled":
		if bytes.Contains(m.Params, []byte(`"type":"error"`)) || bytes.Contains(m.Params, []byte(`"type":"warning"`)) {
			b.faults = append(b.faults, string(m.Params))
		}
	case "Page.loadEventFired":
		b.loaded++
	}
	return m
}

// open loads a page in a scheme of colours and returns when it is drawn.
func (b *browser) open(url, scheme string) {
	b.t.Helper()
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	want := b.loaded + 1
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	for b.loaded < want {
		b.read()
	}
	b.eval("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done('drawn'))))")
}

// eval is the value of an expression, as text.
func (b *browser) eval(expression string) string {
	b.t.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, r.ExceptionDetails)
	}
	return fmt.Sprint(r.Result.Value)
}

// screenshot is the whole page.
func (b *browser) screenshot() image.Image {
	b.t.Helper()
	var r struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &r)
	text, err := base64.StdEncoding.DecodeString(r.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(text))
	if err != nil {
		b.t.Fatal(err)
	}
	return img
}

// offline asserts that the page asked for nothing but itself, and complained of nothing.
func (b *browser) offline(url string) {
	b.t.Helper()
	for _, r := range b.requests {
		if r != url && r != "about:blank" && !strings.HasPrefix(r, "data:") {
			b.t.Errorf("the page asks for %s", r)
		}
	}
	if len(b.faults) > 0 {
		b.t.Errorf("the console says %q", b.faults)
	}
}
