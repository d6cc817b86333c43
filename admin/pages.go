package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/pprof" // its init also registers on the default mux, which nobody here serves
	"strconv"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// Bounds of pages.
const (
	defaultHolders = 100
	maxHolders     = 1000
	maxAction      = 4 << 10          // bytes of the body of POST /drain
	reloadTimeout  = 25 * time.Second // less than writeTimeout, so that the answer gets out
	maxProfile     = 20               // seconds; less than writeTimeout for the same reason
)

// pages routes to what there is.
func (s *Server) pages() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("GET /{$}", index)
	m.HandleFunc("GET /status", s.getStatus)
	m.HandleFunc("GET /connections", s.getConnections)
	m.HandleFunc("GET /drain", s.getDrain)
	m.HandleFunc("POST /drain", s.postDrain)
	m.HandleFunc("GET /policy", s.getPolicy)
	m.HandleFunc("GET /receipt", s.getReceipt)
	m.HandleFunc("POST /reload", s.postReload)
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

GET  /status        state, checks, policy, drain, counts
GET  /connections   who holds the drain, or would (?max=100, ?peers=1)
GET  /drain         how the drain goes
POST /drain         {"action": "start" | "undo" | "ack" | "cut", "park": false}
GET  /policy        version in force, and the one kept out
GET  /receipt       the account of the last drain (?peers=1)
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
	reply(w, http.StatusOK, s.status())
}

func (s *Server) getConnections(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Hooks.Connections == nil {
		missing(w)
		return
	}
	n := defaultHolders
	if text := r.URL.Query().Get("max"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > maxHolders {
			refuse(w, http.StatusBadRequest, fmt.Sprintf("max must be 1 to %d", maxHolders))
			return
		}
	}
	c := Connections{Total: read(s.cfg.Hooks.Tracker).Connections, Holders: s.cfg.Hooks.Connections(n)}
	if !showPeers(r) {
		c.Holders = drain.Receipt{Cut: c.Holders}.PeersHashed(s.key).Cut
		c.PeersHashed = true
	}
	reply(w, http.StatusOK, c)
}

func showPeers(r *http.Request) bool { return r.URL.Query().Get("peers") == "1" }

func (s *Server) getDrain(w http.ResponseWriter, _ *http.Request) {
	if s.cfg.Hooks.Lifecycle == nil {
		missing(w)
		return
	}
	reply(w, http.StatusOK, s.progress())
}

// postDrain carries out an action, and answers with how the drain then goes.
func (s *Server) postDrain(w http.ResponseWriter, r *http.Request) {
	a, err := readAction(w, r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	var act func() error
	h := s.cfg.Hooks
	switch a.Action {
	case ActionStart:
		if h.RequestDrain != nil {
			act = func() error { return h.RequestDrain(a.Park) }
		}
	case ActionUndo:
		act = h.Undo
	case ActionAcknowledge:
		act = h.Acknowledge
	case ActionCut:
		if h.Cut != nil {
			act = func() error { h.Cut(); return nil }
		}
	default:
		refuse(w, http.StatusBadRequest, fmt.Sprintf("action %.40q is none of %q, %q, %q and %q", a.Action, ActionStart, ActionUndo, ActionAcknowledge, ActionCut))
		return
	}
	if act == nil {
		missing(w)
		return
	}
	err = act()
	s.guard.log.Info("drain", "action", string(a.Action), "park", a.Park, "err", err)
	switch {
	case conflict(err):
		refuse(w, http.StatusConflict, err.Error())
	case err != nil:
		refuse(w, http.StatusInternalServerError, err.Error())
	default:
		reply(w, http.StatusOK, s.progress())
	}
}

// readAction reads the body of POST /drain strictly.
func readAction(w http.ResponseWriter, r *http.Request) (a drainAction, err error) {
	// A form can be posted by a page without asking; JSON cannot.
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return a, errors.New("the body must be JSON, and its Content-Type application/json")
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAction))
	d.DisallowUnknownFields()
	if err := d.Decode(&a); err != nil {
		return a, fmt.Errorf("read the action: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return a, errors.New("read the action: there is more than one")
	}
	if a.Park && a.Action != ActionStart {
		return a, fmt.Errorf("park belongs to action %q only", ActionStart)
	}
	return a, nil
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
