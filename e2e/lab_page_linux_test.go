package e2e

import (
	"encoding/json"
	"image"
	"path/filepath"
	"strconv"
	"testing"
)

// box is where an element is.
type box struct{ X, Y, Width, Height float64 }

// TestLabPage: the page of a run opens without a network and without a complaint, in light and
// dark; each chart has something in it; every number is there; a run can be chosen, and
// pointing at a chart says what the replicas did then.
func TestLabPage(t *testing.T) {
	b := newBrowser(t)
	lab := buildLab(t)
	page := filepath.Join(t.TempDir(), "lab.html")
	runs, _ := labRoll(t, lab, "--plan", "scale-out,kill-9", "--html", page)
	url := "file://" + page
	for _, scheme := range []string{"light", "dark"} {
		b.open(url, scheme)
		if got, want := b.eval("document.querySelector('#classes tr:last-child td').textContent"), "grpc-stream"; got != want {
			t.Errorf("last class %q, want %q", got, want)
		}
		if got := b.eval("document.querySelectorAll('#run option').length"); got != "2" {
			t.Errorf("%s runs to choose from", got)
		}
		chartsDrawn(t, b, scheme)
	}
	b.eval("(() => { const s = document.getElementById('run'); s.value = 1; s.dispatchEvent(new Event('change')); })()")
	lost := "[...document.querySelectorAll('#classes tr')].slice(1).reduce((n, tr) => n + Number(tr.children[3].textContent), 0)"
	if got := b.eval(lost); got != strconv.Itoa(runs[1].Total.Lost) {
		t.Errorf("the page shows %s lost, the run has %d", got, runs[1].Total.Lost)
	}
	chartsDrawn(t, b, "dark")
	b.eval(`(() => { const over = document.querySelectorAll('.u-over')[1], r = over.getBoundingClientRect();
		over.dispatchEvent(new MouseEvent('mouseenter', {clientX: r.x + 20, clientY: r.y + 20}));
		over.dispatchEvent(new MouseEvent('mousemove', {clientX: r.x + 20, clientY: r.y + 20, bubbles: true})); })()`)
	b.eval("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
	if now := b.eval("document.getElementById('now').textContent"); now == "" {
		t.Error("pointing at a chart says nothing")
	}
	b.offline(url)
}

// chartsDrawn asserts that each of the five charts is there and not blank.
func chartsDrawn(t *testing.T, b *browser, scheme string) {
	t.Helper()
	var boxes []box
	text := b.eval("JSON.stringify([...document.querySelectorAll('.uplot canvas')].map(c => { const r = c.getBoundingClientRect(); return {X: r.x + scrollX, Y: r.y + scrollY, Width: r.width, Height: r.height}; }))")
	if err := json.Unmarshal([]byte(text), &boxes); err != nil {
		t.Fatal(err)
	}
	if len(boxes) != 5 {
		t.Fatalf("%s: %d charts", scheme, len(boxes))
	}
	img := b.screenshot()
	for i, at := range boxes {
		area := image.Rect(int(at.X), int(at.Y), int(at.X+at.Width), int(at.Y+at.Height))
		if !area.In(img.Bounds()) {
			t.Fatalf("%s: chart %d is at %v, the page is %v", scheme, i, area, img.Bounds())
		}
		ground, drawn := img.At(area.Min.X, area.Min.Y), 0
		for y := area.Min.Y; y < area.Max.Y; y++ {
			for x := area.Min.X; x < area.Max.X; x++ {
				if img.At(x, y) != ground {
					drawn++
				}
			}
		}
		if share := float64(drawn) / float64(area.Dx()*area.Dy()); share < 0.01 {
			t.Errorf("%s: chart %d is blank: %.2f %% of it is drawn", scheme, i, 100*share)
		}
	}
}
