package grpcprobe

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sluiceproxy/sluice/health"
)

// Prefix begins the paths of the service.
const Prefix = "/grpc.health.v1.Health/"

// Bounds of what a client may cost.
const (
	MaxWatchers = 64
	MaxMessage  = 4 << 10 // bytes of a request
)

// Codes of gRPC that are used here.
const (
	codeOK                = 0
	codeInvalidArgument   = 3
	codeNotFound          = 5
	codeResourceExhausted = 8
	codeUnimplemented     = 12
	codeUnavailable       = 14
)

// serving is ServingStatus of the protocol.
type serving byte

const (
	isServing      serving = 1
	notServing     serving = 2
	serviceUnknown serving = 3 // of Watch only
)

// Handler answers calls below Prefix. It is safe for concurrent use.
type Handler struct {
	registry *health.Registry
	watchers atomic.Int32
}

// New returns a handler that reads r.
func New(r *health.Registry) *Handler { return &Handler{registry: r} }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	if r.Method != http.MethodPost || r.ProtoMajor != 2 {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	switch r.URL.Path {
	case Prefix + "Check":
		h.check(w, r)
	case Prefix + "Watch":
		h.watch(w, r)
	default:
		finish(w, codeUnimplemented, "the health service has Check and Watch")
	}
}

// HandedOver answers in place of ServeHTTP once a successor answers at this address: what is asked about is the address, and the
// successor is ready there. Who wants to watch has to connect to it.
func (h *Handler) HandedOver(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Connection", "close")
	if r.URL.Path != Prefix+"Check" {
		finish(w, codeUnavailable, "handed over to a successor, which answers here from now on")
		return
	}
	if _, err := w.Write(response(isServing)); err == nil {
		finish(w, codeOK, "")
	}
}

// check answers one question.
func (h *Handler) check(w http.ResponseWriter, r *http.Request) {
	service, err := readRequest(r.Body)
	if err != nil {
		finish(w, codeInvalidArgument, err.Error())
		return
	}
	probe, ok := probeOf(service)
	if !ok {
		finish(w, codeNotFound, `there are "", "ready", "serving", "live" and "startup"`)
		return
	}
	if _, err := w.Write(response(h.now(probe))); err != nil {
		return // the client has gone
	}
	finish(w, codeOK, "")
}

// watch answers with each change until the client leaves.
func (h *Handler) watch(w http.ResponseWriter, r *http.Request) {
	service, err := readRequest(r.Body)
	if err != nil {
		finish(w, codeInvalidArgument, err.Error())
		return
	}
	if h.watchers.Add(1) > MaxWatchers {
		h.watchers.Add(-1)
		finish(w, codeResourceExhausted, "too many watch")
		return
	}
	defer h.watchers.Add(-1)
	rc := http.NewResponseController(w)
	if rc.SetWriteDeadline(time.Time{}) != nil || rc.SetReadDeadline(time.Time{}) != nil { // a watch lasts
		finish(w, codeUnimplemented, "this server cannot be watched")
		return
	}
	probe, known := probeOf(service)
	said := serving(0)
	say := func() bool {
		now := serviceUnknown
		if known {
			now = h.now(probe)
		}
		if now == said {
			return true
		}
		said = now
		if _, err := w.Write(response(now)); err != nil {
			return false
		}
		return rc.Flush() == nil
	}
	changes := make(bell, 1)
	sub := h.registry.Attach(changes)
	defer sub.Detach()
	for say() {
		select {
		case <-changes:
		case <-r.Context().Done():
			return
		}
	}
}

// bell rings when anything has changed.
type bell chan struct{}

// Deliver implements health.Provider.
func (b bell) Deliver(health.Change) {
	select {
	case b <- struct{}{}:
	default: // it rings already
	}
}

func (h *Handler) now(p health.Probe) serving {
	if h.registry.Snapshot().Verdict(p).OK {
		return isServing
	}
	return notServing
}

// probeOf is what a service name asks about.
func probeOf(service string) (health.Probe, bool) {
	switch service {
	case "", health.Ready.String():
		return health.Ready, true
	case health.Serving.String():
		return health.Serving, true
	case health.Live.String():
		return health.Live, true
	case health.Startup.String():
		return health.Startup, true
	}
	return 0, false
}

// finish ends a call. Without a body before it, head and trailers are one.
func finish(w http.ResponseWriter, code int, text string) {
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", strconv.Itoa(code))
	if text != "" {
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", text)
	}
	w.WriteHeader(http.StatusOK)
}
