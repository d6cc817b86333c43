package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// dash is the dashboard in a browser.
type dash struct {
	*browser
	origin, axe string
}

// holds waits until an expression is true.
func (d *dash) holds(what, expression string) {
	d.t.Helper()
	for limit := time.Now().Add(2 * patience); d.eval("Boolean("+expression+")") != "true"; {
		if time.Now().After(limit) {
			d.t.Fatalf("%s: never, and the page says:\n%s", what, d.eval("document.body.innerText"))
		}
		d.eval("new Promise(done => setTimeout(done, 50))")
	}
}

func (d *dash) await(expression, want string) {
	d.t.Helper()
	d.holds(expression+" is "+want, expression+" === "+string(must(json.Marshal(want))))
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

func (d *dash) visible(id string, want bool) {
	d.t.Helper()
	d.await(fmt.Sprintf("String(document.getElementById(%q).checkVisibility())", id), fmt.Sprint(want))
}

// act presses a button of the state, and says yes.
func (d *dash) act(id, title string) {
	d.t.Helper()
	d.visible(id, true)
	d.eval(fmt.Sprintf("document.getElementById(%q).focus()", id))
	d.confirm(title)
}

// confirm presses what has the focus and then, in the dialog, whose focus is on its no, the yes.
func (d *dash) confirm(title string) {
	d.t.Helper()
	d.press("Enter")
	d.holds("the dialog asks "+title, fmt.Sprintf("document.querySelector('#confirm').open && document.querySelector('#confirm-h').textContent.startsWith(%q) && document.activeElement.id === 'confirm-no'", title))
	d.press("Tab")
	d.await("document.activeElement.id", "confirm-yes")
	d.press("Enter")
	d.await("String(document.querySelector('#confirm').open)", "false")
}

// looks looks at the page in both schemes: axe-core finds nothing, nothing is wider than the
// window, and there are pictures.
func (d *dash) looks(name string, widths ...int) {
	d.t.Helper()
	grounds := map[string]string{}
	for _, scheme := range []string{"light", "dark"} {
		d.call("Emulation.setEmulatedMedia", map[string]any{"features": []any{
			map[string]any{"name": "prefers-color-scheme", "value": scheme}, map[string]any{"name": "prefers-reduced-motion", "value": "reduce"}}}, nil)
		grounds[scheme] = d.eval("getComputedStyle(document.body).backgroundColor")
		for _, width := range widths {
			d.size(width)
			if got := d.eval("document.documentElement.scrollWidth <= innerWidth"); got != "true" {
				d.t.Errorf("%s at %d pixels scrolls sideways: %s wide, by %s", name, width, d.eval("document.documentElement.scrollWidth"),
					d.eval("[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 100)).join('\\n')"))
			}
			if n := len(d.faults); n == 0 {
				d.violations(name, scheme, width)
			}
			d.keep(fmt.Sprintf("%s-%d-%s.png", name, width, scheme))
		}
	}
	if grounds["light"] == grounds["dark"] {
		d.t.Errorf("light and dark are both %s", grounds["light"])
	}
	d.size(1280)
}

// size makes the window as wide, and of a height that such windows have.
func (d *dash) size(width int) {
	d.t.Helper()
	height := map[int]int{320: 640, 3840: 2160}[width]
	if height == 0 {
		height = 900
	}
	d.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
	d.eval("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done('drawn'))))")
}

// violations asks axe-core, in a world of its own, so that the page's policy and axe do not
// meet.
func (d *dash) violations(name, scheme string, width int) {
	d.t.Helper()
	var tree struct {
		FrameTree struct{ Frame struct{ ID string } }
	}
	d.call("Page.getFrameTree", nil, &tree)
	var world struct{ ExecutionContextID int }
	d.call("Page.createIsolatedWorld", map[string]any{"frameId": tree.FrameTree.Frame.ID, "worldName": "axe"}, &world)
	run := func(expression string) string {
		d.t.Helper()
		var r struct {
			Result           struct{ Value any }
			ExceptionDetails json.RawMessage
		}
		d.call("Runtime.evaluate", map[string]any{"expression": expression, "contextId": world.ExecutionContextID, "returnByValue": true, "awaitPromise": true}, &r)
		if r.ExceptionDetails != nil {
			d.t.Fatalf("axe-core: %s", r.ExceptionDetails)
		}
		return fmt.Sprint(r.Result.Value)
	}
	run(d.axe + "; 'there'")
	found := run(`axe.run(document, {runOnly: {type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}})
		.then(r => JSON.stringify({passes: r.passes.length, violations: r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html + ' ' + n.failureSummary).join(' | '))}))`)
	var r struct {
		Passes     int
		Violations []string
	}
	if err := json.Unmarshal([]byte(found), &r); err != nil {
		d.t.Fatalf("axe-core: %v in %s", err, found)
	}
	if r.Passes < 10 {
		d.t.Errorf("%s, %s, %d: axe-core looked at little: %d rules", name, scheme, width, r.Passes)
	}
	for _, v := range r.Violations {
		d.t.Errorf("%s, %s, %d: %s", name, scheme, width, v)
	}
}

// keep writes a picture of the whole page to E2E_SHOTS.
func (d *dash) keep(name string) {
	d.t.Helper()
	dir := os.Getenv("E2E_SHOTS")
	if dir == "" {
		return
	}
	var size struct{ Width, Height float64 }
	if err := json.Unmarshal([]byte(d.eval("JSON.stringify({width: innerWidth, height: document.documentElement.scrollHeight})")), &size); err != nil {
		d.t.Fatal(err)
	}
	var r struct{ Data string }
	d.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true,
		"clip": map[string]any{"x": 0, "y": 0, "width": size.Width, "height": size.Height, "scale": 1}}, &r)
	png, err := base64.StdEncoding.DecodeString(r.Data)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), png, 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// typed types a text where the focus is.
func (b *browser) typed(text string) {
	b.t.Helper()
	b.call("Input.insertText", map[string]any{"text": text}, nil)
}

// press presses a key.
func (b *browser) press(key string) {
	b.t.Helper()
	p := map[string]any{"type": "keyDown", "key": key, "code": key}
	switch key {
	case "Enter":
		p["windowsVirtualKeyCode"], p["text"] = 13, "\r"
	case "Tab":
		p["windowsVirtualKeyCode"] = 9
	}
	b.call("Input.dispatchKeyEvent", p, nil)
	delete(p, "text")
	p["type"] = "keyUp"
	b.call("Input.dispatchKeyEvent", p, nil)
}
