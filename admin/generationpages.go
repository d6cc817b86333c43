package admin

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"strconv"
)

// The pages of the private server about other generations.

// getGenerations lists this process and those before it.
func (s *Server) getGenerations(w http.ResponseWriter, r *http.Request) {
	list := s.cfg.Hooks.Generations.List(r.Context())
	for i, g := range list {
		if g.Receipt != nil && !showPeers(r) {
			hashed := g.Receipt.PeersHashed(s.key)
			list[i].Receipt = &hashed
		}
	}
	own := Generation{Generation: s.cfg.Hooks.Generation, PID: s.pid(), State: generationServing, Drain: s.progress()}
	reply(w, http.StatusOK, append(list, own))
}

// toGeneration passes a request on to a generation that drains. Who may ask us may ask it:
// the guard has looked.
func (s *Server) toGeneration(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.PathValue("generation"))
	if err != nil {
		refuse(w, http.StatusBadRequest, "a generation is a number; GET /generations lists them")
		return
	}
	m := s.cfg.Hooks.Generations.find(n)
	if m == nil {
		refuse(w, http.StatusNotFound, fmt.Sprintf("generation %d does not drain here; GET /generations lists those that do", n))
		return
	}
	prefix := "/generations/" + r.PathValue("generation")
	http.StripPrefix(prefix, &httputil.ReverseProxy{
		Transport: m.client.Transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "http", "localhost", "localhost"
		},
		ErrorLog: slog.NewLogLogger(s.guard.log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if said := m.ended(r.Context()); said != "" {
				refuse(w, http.StatusGone, fmt.Sprintf("generation %d is done: %s", n, said))
				return
			}
			refuse(w, http.StatusBadGateway, fmt.Sprintf("generation %d does not answer: %v", n, err))
		},
	}).ServeHTTP(w, r)
}
