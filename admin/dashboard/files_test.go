package dashboard

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
)

// get asks for a file as a server would.
func get(t *testing.T, f *Files, method, target string, head ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	if !f.Has(r) {
		return nil
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	return w.Result()
}

// all is every file by its path.
func all(t *testing.T) map[string]string {
	t.Helper()
	f, texts := NewFiles(false), map[string]string{}
	for at := range f.byPath {
		b, err := io.ReadAll(get(t, f, "GET", at).Body)
		if err != nil {
			t.Fatal(err)
		}
		texts[at] = string(b)
	}
	if len(texts) < 5 {
		t.Fatalf("only %d files", len(texts))
	}
	return texts
}

// Every file says what it may load, and what it is.
func TestHeads(t *testing.T) {
	f := NewFiles(true)
	for at := range f.byPath {
		h := get(t, f, "GET", at).Header
		csp := h.Get("Content-Security-Policy")
		if !strings.HasPrefix(csp, "default-src 'none';") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "*") || strings.Contains(csp, ":") {
			t.Errorf("%s: %s", at, csp)
		}
		for _, want := range []string{"script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "form-action 'none'", "base-uri 'none'"} {
			if !strings.Contains(csp, want) {
				t.Errorf("%s: no %s in %s", at, want, csp)
			}
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || strings.HasPrefix(h.Get("Content-Type"), "application/") || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", at, h)
		}
	}
}

func TestWhereABrowserBegins(t *testing.T) {
	f := NewFiles(false)
	for _, w := range []struct {
		method, path, accept string
		code                 int // 0: it is none of ours
		location             string
	}{
		{"GET", "/dashboard/", "", 200, ""},
		{"HEAD", "/dashboard/style.css", "", 200, ""},
		{"GET", "/dashboard", "", 303, "dashboard/"},
		{"GET", "/", "text/html,application/xhtml+xml", 303, "dashboard/"},
		{"GET", "/", "*/*", 0, ""},
		{"POST", "/dashboard/", "", 0, ""},
		{"GET", "/dashboard/index.html", "", 0, ""},
		{"GET", "/dashboard/events", "", 0, ""},
		{"GET", "/dashboard/../status", "", 0, ""},
		{"GET", "/status", "text/html", 0, ""},
	} {
		res := get(t, f, w.method, w.path, "Accept", w.accept)
		if res == nil {
			if w.code != 0 {
				t.Errorf("%s %s is none of ours", w.method, w.path)
			}
			continue
		}
		if res.StatusCode != w.code || res.Header.Get("Location") != w.location {
			t.Errorf("%s %s: %d %q", w.method, w.path, res.StatusCode, res.Header.Get("Location"))
		}
	}
}

// What has not changed is not sent again; whether a token is needed is another file.
func TestTags(t *testing.T) {
	one, two := NewFiles(false), NewFiles(true)
	for at := range one.byPath {
		tag := get(t, one, "GET", at).Header.Get("ETag")
		if again := get(t, one, "GET", at, "If-None-Match", tag); again.StatusCode != 304 {
			t.Errorf("%s with %s: %d", at, tag, again.StatusCode)
		}
		if same := get(t, two, "GET", at).Header.Get("ETag") == tag; same == (at == Prefix+door) {
			t.Errorf("%s is the same with and without a token: %v", at, same)
		}
	}
}

// The page needs no other host, and nothing in it becomes code or markup.
func TestSelfContained(t *testing.T) {
	size := 0
	for at, text := range all(t) {
		size += len(text)
		for _, url := range regexp.MustCompile(`(?i)\b(https?|wss?|ftp|data|blob|javascript):[^\s"']+|url\(|@import`).FindAllString(text, -1) {
			if url != "http://www.w3.org/2000/svg" { // a name, which nobody asks for
				t.Errorf("%s names %s", at, url)
			}
		}
		for _, bad := range []string{"innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "new Function", "localStorage", "sessionStorage", "document.cookie", ".style."} {
			if strings.Contains(text, bad) {
				t.Errorf("%s has %s", at, bad)
			}
		}
	}
	if size > 100<<10 {
		t.Errorf("the page has %d bytes", size)
	}
	page := all(t)[Prefix]
	for _, bad := range []string{`<script>`, `<style`, ` style=`} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %s, which its own policy forbids", bad)
		}
	}
	if m := regexp.MustCompile(`\son[a-z]+=`).FindString(page); m != "" {
		t.Errorf("the page has%s, which its own policy forbids", m)
	}
}

// What files name is there: other files, and elements of the page.
func TestNamesAreThere(t *testing.T) {
	texts := all(t)
	page := texts[Prefix]
	named := 0
	for at, text := range texts {
		for _, m := range regexp.MustCompile(`(?:href|src)="([^"#]+)"|from "\./([^"]+)"`).FindAllStringSubmatch(text, -1) {
			named++
			if _, ok := texts[path.Join(Prefix, m[1]+m[2])]; !ok {
				t.Errorf("%s names %s", at, m[1]+m[2])
			}
		}
		for _, m := range regexp.MustCompile(`\$\("([^"]+)"\)`).FindAllStringSubmatch(text, -1) {
			named++
			if strings.Count(page, `id="`+m[1]+`"`) != 1 {
				t.Errorf("%s looks for the one element %s", at, m[1])
			}
		}
	}
	for _, m := range regexp.MustCompile(`(?:for|aria-labelledby|aria-describedby)="([^"]+)"|href="#([^"]+)"`).FindAllStringSubmatch(page, -1) {
		if !strings.Contains(page, `id="`+m[1]+m[2]+`"`) {
			t.Errorf("the page refers to %s", m[1]+m[2])
		}
	}
	if named < 50 {
		t.Errorf("only %d names: the test looks at the wrong place", named)
	}
}
