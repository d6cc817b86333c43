package admin

import (
	"errors"
	"net/http"

	"github.com/sluiceproxy/sluice/lifecycle/handover"
)

// postUpgrade starts an upgrade and answers at once; GET says how it goes. After the switch
// the successor answers at this address, so nobody could wait here.
func (s *Server) postUpgrade(w http.ResponseWriter, _ *http.Request) {
	h := s.cfg.Hooks
	if h.Upgrade == nil || h.Upgraded == nil {
		missing(w)
		return
	}
	err := h.Upgrade()
	s.guard.log.Info("upgrade", "err", err)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		refuse(w, http.StatusNotImplemented, "this system cannot hand sockets over: stop this process and start the new one")
	case err != nil:
		refuse(w, http.StatusConflict, err.Error())
	default:
		reply(w, http.StatusOK, h.Upgraded())
	}
}

func (s *Server) getUpgrade(w http.ResponseWriter, _ *http.Request) {
	if s.cfg.Hooks.Upgraded == nil {
		missing(w)
		return
	}
	reply(w, http.StatusOK, s.cfg.Hooks.Upgraded())
}

// UpgradeProgress is GET /upgrade.
type UpgradeProgress = handover.Progress
