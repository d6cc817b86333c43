package main

import (
	"encoding/json"
	"os"
	"slices"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/health"
)

// terminationLog is where Kubernetes looks for a last message, and its limit.
const (
	terminationLog    = "/dev/termination-log"
	maxTerminationLog = 4 << 10
)

// account writes the receipt everywhere it is wanted and decides the exit code: 1 if
// something failed, else 3 if something was cut.
func (a *app) account(failed error) int {
	r := a.server.Receipt()
	if failed != nil {
		said := []any{"err", failed}
		if t := troubleOf(failed); t != noTrouble {
			said = append(said, "code", t)
		}
		a.log.Error("failed", said...)
	}
	if r.Schema == 0 { // never got as far as draining
		if failed != nil {
			return exitFailed
		}
		return exitOK
	}
	r = a.described(r)
	if err := r.Audit(); err != nil {
		a.log.Error("BUG: the books of the receipt do not balance", "err", err)
	}
	a.log.Info("receipt", "summary", r.String(), "receipt", r)
	a.store(r)
	switch {
	case failed != nil:
		return exitFailed
	case !r.Clean():
		a.log.Error("something was cut", "cut", r.CutTotal, "stuck", r.StuckTotal, "exit", exitCut)
		return exitCut
	}
	return exitOK
}

// described adds what the tracker does not know: whose receipt it is, and why.
func (a *app) described(r drain.Receipt) drain.Receipt {
	host, _ := os.Hostname()
	r.Process = drain.Process{Version: buildVersion().Version, PID: os.Getpid(), Host: host, Started: a.started}
	r.Trigger = a.trigger()
	r.Turn = turnTaken(a.manager.Status().Turn, a.cfg.Fleet.Budget)
	r.Phases = slices.Clone(r.Phases)
	a.explainLameDuck(&r)
	r.Kernel = a.witness.testimony()
	return r
}

// trigger is why the process stopped, in the words of the transition log: the edge that
// began the stop, after whatever was undone before.
func (a *app) trigger() (reason string) {
	for _, t := range a.manager.Transitions() {
		if t.To == health.ProcessLameDuck || t.To == health.ProcessDraining && t.From != health.ProcessLameDuck {
			reason = t.Reason
		}
	}
	return reason
}

// explainLameDuck says what ended the lame duck, as lifecycle.End. The tracker only saw
// that draining began.
func (a *app) explainLameDuck(r *drain.Receipt) {
	for _, t := range a.manager.Transitions() {
		if t.From != health.ProcessLameDuck || t.To != health.ProcessDraining {
			continue
		}
		for i := range r.Phases {
			if r.Phases[i].Name == drain.PhaseLameDuck {
				r.Phases[i].EndedBy = t.By.String()
			}
		}
	}
}

func (a *app) store(r drain.Receipt) {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		panic("BUG: a receipt is always JSON: " + err.Error())
	}
	if name := a.cfg.Drain.Receipt; name != "" {
		if err := keepReceipt(name, ownReceipt(name, r, a.hand.generation), append(raw, '\n')); err != nil {
			a.log.Error("the receipt file was not written", "err", err)
		}
	}
	if fi, err := os.Stat(terminationLog); err == nil && fi.Mode().IsRegular() {
		if err := os.WriteFile(terminationLog, r.JSONWithin(maxTerminationLog), 0o644); err != nil {
			a.log.Error("the termination log was not written", "err", err)
		}
	}
}
