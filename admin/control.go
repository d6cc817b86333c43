package admin

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/sluiceproxy/sluice/lifecycle/handover"
)

// Control is where successors reach this process when its address is theirs: all pages of
// the private server on an abstract unix socket, for processes of the same user, and of
// root, that know its secret, which only successors are told. It is a service of package
// lifecycle by its shape.
type Control struct {
	server *Server
	name   string
	secret string
	web    *web
}

// NewControl makes the control socket of a server.
func NewControl(s *Server) *Control {
	c := &Control{server: s, name: "@sluice-control-" + rand.Text(), secret: rand.Text()}
	pages := http.NewServeMux()
	pages.HandleFunc("GET /final", c.final)
	pages.Handle("/", s.pages(nil)) // who knows the secret knows it for good
	c.web = newWeb("control", c.guarded(pages), DefaultMaxConnections, s.cfg.Failed, s.cfg.Log)
	return c
}

// Member is what a successor is told.
func (c *Control) Member() handover.Member {
	return handover.Member{Generation: c.server.cfg.Hooks.Generation, PID: c.server.pid(), Control: c.name, Secret: c.secret}
}

func (c *Control) guarded(h http.Handler) http.Handler {
	want := []byte("Bearer " + c.secret)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			refuse(w, http.StatusUnauthorized, "this is for successors")
			return
		}
		h.ServeHTTP(w, r)
	})
}

// final answers when the drain is over: its end is an answer, and nothing polls.
func (c *Control) final(w http.ResponseWriter, r *http.Request) {
	if c.server.cfg.Hooks.Final == nil {
		missing(w)
		return
	}
	rc := http.NewResponseController(w)
	if err := errors.Join(rc.SetReadDeadline(time.Time{}), rc.SetWriteDeadline(time.Time{})); err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	receipt, ok := c.server.cfg.Hooks.Final(r.Context())
	if !ok {
		return // nobody waits any more
	}
	_ = rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	reply(w, http.StatusOK, receipt)
}

// Name implements lifecycle.Service.
func (c *Control) Name() string { return "control" }

// Start binds. Where there are no abstract sockets there are no successors either.
func (c *Control) Start(context.Context) error {
	ln, err := net.Listen("unix", c.name)
	if err != nil {
		c.web.log.Debug("no control socket", "err", err)
		return nil
	}
	c.web.start(ours{ln})
	return nil
}

// Admit implements lifecycle.Service.
func (c *Control) Admit() error { return nil }

// LameDuck implements lifecycle.Service.
func (c *Control) LameDuck() {}

// Drain implements lifecycle.Service: it answers on until Close.
func (c *Control) Drain(context.Context) error { return nil }

// Close ends it. The final account has half a second to get out; dashboards end at once.
func (c *Control) Close() error {
	c.server.streams.Close()
	return c.web.close()
}

// jsonRequest makes a request; in is nil for none.
func jsonRequest(ctx context.Context, method, url string, in any) (*http.Request, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", method, url, err)
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, url, err)
	}
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}
