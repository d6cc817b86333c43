package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed page
var embedded embed.FS

// Prefix is where the page is. Its files name each other relative to it.
const Prefix = "/dashboard/"

// contentPolicy lets the page load and ask nothing but its own origin, run no text as a
// script, be in no frame, and post no form.
const contentPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// door is the file that tells the page whether to ask for a token first: to try without one
// would be an error in the browser's console, and the answer tells the same.
const door = "door.js"

// Files are the files of the page.
type Files struct {
	byPath map[string]file
}

type file struct {
	media string
	tag   string // of its content, quoted (RFC 9110 section 8.8.3)
	body  []byte
}

// NewFiles reads what is embedded. token says whether the streams take one.
func NewFiles(token bool) *Files {
	f := &Files{byPath: map[string]file{}}
	entries, err := fs.ReadDir(embedded, "page")
	if err != nil {
		panic("BUG: the page is not embedded: " + err.Error())
	}
	for _, e := range entries {
		body, err := embedded.ReadFile("page/" + e.Name())
		if err != nil {
			panic("BUG: " + err.Error())
		}
		f.add(e.Name(), body)
	}
	f.add(door, fmt.Appendf(nil, "export const needsToken = %t;\n", token))
	return f
}

func (f *Files) add(name string, body []byte) {
	sum := sha256.Sum256(body)
	at := Prefix + name
	if name == "index.html" {
		at = Prefix
	}
	f.byPath[at] = file{mediaOf(name), strconv.Quote(hex.EncodeToString(sum[:8])), body}
}

// mediaOf is the type of a file by its name: what the system says of extensions differs
// from one to the next.
func mediaOf(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "application/octet-stream"
}

// Has reports whether a request is for one of the files, or for where a browser begins: the
// root, and the page without its last slash.
func (f *Files) Has(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	_, ok := f.byPath[r.URL.Path]
	return ok || r.URL.Path+"/" == Prefix || r.URL.Path == "/" && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// ServeHTTP answers a request that Has reported. Where a browser begins, it is sent on.
func (f *Files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	one, ok := f.byPath[r.URL.Path]
	if !ok {
		h.Set("Location", strings.TrimPrefix(Prefix, "/")) // relative: who knows what is in front of us
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	h.Set("Content-Security-Policy", contentPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache") // asked for again each time: an upgrade may have replaced it
	h.Set("ETag", one.tag)
	h.Set("Content-Type", one.media)
	if r.Header.Get("If-None-Match") == one.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(one.body)))
	_, _ = w.Write(one.body) // an error means that the client is gone
}
