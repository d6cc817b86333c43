package httpprobe

import (
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/sluiceproxy/sluice/health"
)

// Paths of the probes.
const (
	PathStartup = "/startupz"
	PathReady   = "/readyz"
	PathServing = "/servingz"
	PathLive    = "/livez"
	PathHealth  = "/healthz" // alias of PathLive
	PathStatus  = "/status"
)

// Path is where a probe is answered. An unknown probe has no path: "".
func Path(p health.Probe) string {
	switch p {
	case health.Startup:
		return PathStartup
	case health.Ready:
		return PathReady
	case health.Serving:
		return PathServing
	case health.Live:
		return PathLive
	}
	return ""
}

// Handler answers probes. It is safe for concurrent use, holds no state and never
// blocks.
type Handler struct {
	registry *health.Registry
	names    health.Naming
}

// New returns a handler that reads r at each request and prints checks under names.
func New(r *health.Registry, names health.Naming) *Handler {
	return &Handler{registry: r, names: names}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Not an http.ServeMux: it answers an untidy path with a redirect, and probes
	// follow redirects or take them for success.
	serve, ok := h.route(r.URL.Path)
	switch {
	case !ok:
		write(w, r, http.StatusNotFound, plain, "no such probe; there are "+strings.Join([]string{
			PathStartup, PathReady, PathServing, PathLive, PathHealth, PathStatus}, " ")+"\n")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		write(w, r, http.StatusMethodNotAllowed, plain, "method not allowed; probes are read by GET or HEAD\n")
	default:
		serve(w, r)
	}
}

func (h *Handler) route(path string) (http.HandlerFunc, bool) {
	switch path {
	case PathStartup:
		return h.probe(health.Startup), true
	case PathReady:
		return h.probe(health.Ready), true
	case PathServing:
		return h.probe(health.Serving), true
	case PathLive, PathHealth:
		return h.probe(health.Live), true
	case PathStatus:
		return h.status, true
	}
	return nil, false
}

// probe answers one probe.
func (h *Handler) probe(p health.Probe) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s := h.registry.Snapshot()
		exclude, unknown := h.excluded(s, r.URL.Query()["exclude"])
		v := s.Verdict(p, exclude...)
		code := http.StatusServiceUnavailable
		if v.OK {
			code = http.StatusOK
		}
		h.rename(v.Failing)
		h.rename(v.Warning)
		if wantsJSON(r) {
			write(w, r, code, jsonType, encodeAnswer(Answer{Probe: p.String(), Verdict: v, Unknown: unknown}))
			return
		}
		write(w, r, code, plain, line(v.String())+"\n")
	}
}

// status answers /status: always 200, because it is no probe.
func (h *Handler) status(w http.ResponseWriter, r *http.Request) {
	write(w, r, http.StatusOK, jsonType, encodeStatus(Status{Report: h.registry.Snapshot().Report(h.names)}))
}

func (h *Handler) rename(reasons []health.Reason) {
	for i := range reasons {
		reasons[i].Check = h.names.Name(reasons[i].Check)
	}
}

// maxExcludes bounds what one request may ask for.
const maxExcludes = 32

// excluded resolves the names of a request, in our naming or in the printed one.
func (h *Handler) excluded(s health.Snapshot, asked []string) (found, unknown []string) {
	for _, name := range asked[:min(len(asked), maxExcludes)] {
		known := false
		for _, c := range s.Checks {
			if name == c.Name || name == h.names.Name(c.Name) {
				found, known = append(found, c.Name), true
			}
		}
		if !known {
			unknown = append(unknown, shorten(name, 64))
		}
	}
	return found, unknown
}

// wantsJSON reports whether the client asked for more than a line.
func wantsJSON(r *http.Request) bool {
	if r.URL.Query().Has("verbose") {
		return true
	}
	for _, accept := range r.Header.Values("Accept") {
		for part := range strings.SplitSeq(accept, ",") {
			media, _, _ := strings.Cut(part, ";")
			switch strings.ToLower(strings.TrimSpace(media)) {
			case "application/json", "application/health+json":
				return true
			}
		}
	}
	return false
}

const (
	plain    = "text/plain; charset=utf-8"
	jsonType = "application/json"
)

// write sends an answer. Headers come before the status line: what is set later would
// be lost, and the body sniffed.
func write(w http.ResponseWriter, r *http.Request, code int, contentType, body string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	if r.Method != http.MethodHead {
		// An error means that the client is gone: there is nobody to tell.
		_, _ = io.WriteString(w, body)
	}
}
