package admin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof" // its init also registers on the default mux, which nobody here serves
	"strconv"
	"time"
)

// Bounds of pages.
const (
	reloadTimeout = 25 * time.Second // less than writeTimeout, so that the answer gets out
	maxProfile    = 20               // seconds; less than writeTimeout for the same reason
)

// pages routes to what there is. still says whether a caller who was let in once may go on
// looking; nil: always.
func (s *Server) pages(still func(*http.Request) bool) http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /dashboard/events", s.events(still))
	m.HandleFunc("GET /{$}", index)
	m.HandleFunc("GET /status", s.getStatus)
	m.HandleFunc("GET /connections", s.getConnections)
	m.HandleFunc("GET /drain", s.getDrain)
	m.HandleFunc("POST /drain", s.postDrain)
	m.HandleFunc("POST /drain/ack", s.postAck)
	m.HandleFunc("GET /drain/watch", s.getWatch)
	m.HandleFunc("GET /drain/forecast", s.getForecast)
	m.HandleFunc("GET /policy", s.getPolicy)
	m.HandleFunc("GET /refusals/{id}", s.getRefusal)
	m.HandleFunc("GET /receipt", s.getReceipt)
	m.HandleFunc("POST /reload", s.postReload)
	m.HandleFunc("POST /sessions/revoke", s.postRevoke)
	m.HandleFunc("POST /upgrade", s.postUpgrade)
	m.HandleFunc("GET /upgrade", s.getUpgrade)
	m.HandleFunc("GET /generations", s.getGenerations)
	m.HandleFunc("/generations/{generation}/", s.toGeneration)
	m.HandleFunc("GET /debug/pprof/", pprof.Index)
	m.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	m.HandleFunc("GET /debug/pprof/profile", bounded(pprof.Profile))
	m.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	m.HandleFunc("GET /debug/pprof/trace", bounded(pprof.Trace))
	return m
}

func index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, `sluice admin

GET  /dashboard/    all of this in a browser
GET  /status        state, checks, policy, drain, counts
GET  /connections   who holds the drain, or would (?max=100, ?peers=1)
GET  /drain         how the drain goes
POST /drain         {"action": "start", "park": false} | {"action": "undo"} | {"action": "ack"} | {"action": "cut"}
                    {"action": "deadline", "in": "30s"} | {"action": "close", "id": 7}
POST /drain/ack     balancers have stopped sending: end the lame duck
GET  /drain/watch   both of the above (?max=100, ?peers=1)
GET  /drain/forecast  what a drain would cut (?at=10s,30s,60s)
GET  /policy        version in force, and the one kept out
GET  /refusals/ID   a request that routes or rules refused lately (?peers=1)
GET  /receipt       the account of the last drain (?peers=1)
POST /sessions/revoke  {"kind": "sid", "value": ID} | {"kind": "sub", "issuer": URL, "value": SUBJECT} | {"kind": "all"}
POST /upgrade       start a successor from the program's file; GET says how it goes
GET  /generations   this process, and those that drain still
     /generations/N/  all of this, of generation N
POST /reload        read configuration files and the policy again
GET  /debug/pprof/  profiles
`)
}

func (s *Server) getStatus(w http.ResponseWriter, _ *http.Request) {
	if s.cfg.Hooks.Health == nil {
		missing(w)
		return
	}
	reply(w, http.StatusOK, s.status(read(s.cfg.Hooks.Proxy)))
}

func (s *Server) getPolicy(w http.ResponseWriter, _ *http.Request) {
	if s.cfg.Hooks.Policy == nil {
		missing(w)
		return
	}
	reply(w, http.StatusOK, s.cfg.Hooks.Policy())
}

func (s *Server) getReceipt(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Hooks.Receipt == nil {
		missing(w)
		return
	}
	receipt, ok := s.cfg.Hooks.Receipt()
	if !ok {
		refuse(w, http.StatusNotFound, "there was no drain yet")
		return
	}
	if !showPeers(r) {
		receipt = receipt.PeersHashed(s.key)
	}
	reply(w, http.StatusOK, receipt)
}

// postReload reloads. A failure is the fault of what was read, not of the request.
func (s *Server) postReload(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Hooks.Reload == nil {
		missing(w)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), reloadTimeout)
	defer cancel()
	if err := s.cfg.Hooks.Reload(ctx); err != nil {
		refuse(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	reply(w, http.StatusOK, struct {
		Reloaded bool   `json:"reloaded"`
		Policy   Policy `json:"policy"`
	}{true, read(s.cfg.Hooks.Policy)})
}

// bounded refuses a profile that would last longer than its answer may take.
func bounded(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("seconds") == "" {
			q.Set("seconds", "10") // pprof's own default for a profile is 30
			r.URL.RawQuery = q.Encode()
		}
		if n, err := strconv.ParseFloat(q.Get("seconds"), 64); err != nil || !(n > 0 && n <= maxProfile) {
			refuse(w, http.StatusBadRequest, fmt.Sprintf("seconds must be more than 0 and at most %d", maxProfile))
			return
		}
		h(w, r)
	}
}

func missing(w http.ResponseWriter) {
	refuse(w, http.StatusNotImplemented, "this process does not offer that")
}
