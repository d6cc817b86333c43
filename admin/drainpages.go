package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/drain"
)

// Bounds of the pages about the drain.
const (
	defaultHolders = 100
	maxHolders     = 1000
	maxAction      = 4 << 10 // bytes of the body of POST /drain
	maxBudgets     = 10      // of one forecast
	maxBudget      = 24 * time.Hour
)

func showPeers(r *http.Request) bool { return r.URL.Query().Get("peers") == "1" }

// connections reads who is there; ok is false if it was refused.
func (s *Server) connections(w http.ResponseWriter, r *http.Request) (c Connections, ok bool) {
	if s.cfg.Hooks.View == nil {
		missing(w)
		return c, false
	}
	n := defaultHolders
	if text := r.URL.Query().Get("max"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil || n < 1 || n > maxHolders {
			refuse(w, http.StatusBadRequest, fmt.Sprintf("max must be 1 to %d", maxHolders))
			return c, false
		}
	}
	return s.holders(r.Context(), n, showPeers(r)), true
}

// holders looks at the first n. The hook must be there.
func (s *Server) holders(ctx context.Context, n int, peers bool) Connections {
	v := s.cfg.Hooks.View(n)
	s.addDetail(ctx, v.Holders)
	c := Connections{At: v.At, Total: v.Total, Groups: v.Groups, Holders: v.Holders}
	if !peers {
		c.Holders = drain.Receipt{Cut: c.Holders}.PeersHashed(s.key).Cut
		c.PeersHashed = true
	}
	return c
}

// detailTimeout bounds the wait for loops that are busy: a look must answer at once, with
// less if need be.
const detailTimeout = 25 * time.Millisecond

// addDetail asks the loops what exactly is waited for.
func (s *Server) addDetail(ctx context.Context, holders []drain.Holder) {
	if s.cfg.Hooks.Detail == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, detailTimeout)
	defer cancel()
	refs := make([]uint64, len(holders))
	for i := range holders {
		refs[i] = holders[i].Ref
	}
	known := s.cfg.Hooks.Detail(ctx, refs)
	for i := range holders {
		h := &holders[i]
		d := known[h.Ref]
		h.Queued = d.Queued
		if d.Waits != "" {
			h.Why += ", waiting " + d.Waits
		}
	}
}

func (s *Server) getConnections(w http.ResponseWriter, r *http.Request) {
	if c, ok := s.connections(w, r); ok {
		reply(w, http.StatusOK, c)
	}
}

func (s *Server) getDrain(w http.ResponseWriter, _ *http.Request) {
	if s.cfg.Hooks.Lifecycle == nil {
		missing(w)
		return
	}
	reply(w, http.StatusOK, s.progress())
}

func (s *Server) getWatch(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Hooks.Lifecycle == nil {
		missing(w)
		return
	}
	if c, ok := s.connections(w, r); ok {
		reply(w, http.StatusOK, Watch{Drain: s.progress(), Connections: c})
	}
}

// getForecast answers for the budgets that are asked for, or for 10, 30 and 60 s.
func (s *Server) getForecast(w http.ResponseWriter, r *http.Request) {
	if s.cfg.Hooks.Forecast == nil {
		missing(w)
		return
	}
	text := r.URL.Query().Get("at")
	if text == "" {
		text = "10s,30s,60s"
	}
	var budgets []time.Duration
	for word := range strings.SplitSeq(text, ",") {
		d, err := time.ParseDuration(strings.TrimSpace(word))
		if err != nil || d <= 0 || d > maxBudget || len(budgets) == maxBudgets {
			refuse(w, http.StatusBadRequest, fmt.Sprintf("at must be at most %d durations such as \"30s\", each at most %s", maxBudgets, maxBudget))
			return
		}
		budgets = append(budgets, d)
	}
	reply(w, http.StatusOK, s.cfg.Hooks.Forecast(budgets))
}

// postDrain carries out an action, and answers with how the drain then goes.
func (s *Server) postDrain(w http.ResponseWriter, r *http.Request) {
	a, err := readAction(w, r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	s.act(w, a)
}

// postAck is the acknowledgement in a form that needs no body: for a hook of an orchestrator.
func (s *Server) postAck(w http.ResponseWriter, _ *http.Request) {
	s.act(w, drainAction{Action: ActionAcknowledge})
}

// errNoSuch refuses to close a connection that there is not, or that was told to go.
var errNoSuch = errors.New("there is no such connection, or it was asked to go already")

func (s *Server) act(w http.ResponseWriter, a drainAction) {
	act, err := s.action(a)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if act == nil {
		missing(w)
		return
	}
	err = act()
	s.guard.log.Info("drain", "action", string(a.Action), "park", a.Park, "in", a.In, "id", a.ID, "err", err)
	switch {
	case errors.Is(err, errNoSuch):
		refuse(w, http.StatusNotFound, err.Error())
	case conflict(err):
		refuse(w, http.StatusConflict, err.Error())
	case err != nil:
		refuse(w, http.StatusInternalServerError, err.Error())
	default:
		reply(w, http.StatusOK, s.progress())
	}
}

// action is what carries out a; nil: this process does not offer it.
func (s *Server) action(a drainAction) (act func() error, err error) {
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
	case ActionDeadline:
		d, err := time.ParseDuration(a.In)
		if err != nil || d < 0 || d > maxBudget {
			return nil, fmt.Errorf("in must be a duration such as \"30s\", at most %s", maxBudget)
		}
		if h.MoveDeadline != nil {
			act = func() error { return h.MoveDeadline(time.Now().Add(d)) }
		}
	case ActionClose:
		if h.Evict != nil {
			act = func() error {
				if !h.Evict(a.ID) {
					return errNoSuch
				}
				return nil
			}
		}
	case ActionCut:
		if h.Cut != nil {
			act = func() error { h.Cut(); return nil }
		}
	default:
		return nil, fmt.Errorf("action %.40q is none of %q, %q, %q, %q, %q and %q", a.Action, ActionStart, ActionUndo, ActionAcknowledge, ActionCut, ActionDeadline, ActionClose)
	}
	return act, nil
}

// readBody reads the body of an action strictly.
func readBody(w http.ResponseWriter, r *http.Request, into any) error {
	// A form can be posted by a page without asking; JSON cannot.
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return errors.New("the body must be JSON, and its Content-Type application/json")
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAction))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fmt.Errorf("read the action: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("read the action: there is more than one")
	}
	return nil
}

// readAction reads the body of POST /drain.
func readAction(w http.ResponseWriter, r *http.Request) (a drainAction, err error) {
	if err := readBody(w, r, &a); err != nil {
		return a, err
	}
	for _, only := range []struct {
		key  string
		said bool
		of   Action
	}{{"park", a.Park, ActionStart}, {"in", a.In != "", ActionDeadline}, {"id", a.ID != 0, ActionClose}} {
		if only.said && a.Action != only.of {
			return a, fmt.Errorf("%s belongs to action %q only", only.key, only.of)
		}
	}
	return a, nil
}
