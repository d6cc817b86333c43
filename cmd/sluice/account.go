package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
		a.log.Error("failed", "err", failed)
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
		if err := writeFile(name, append(raw, '\n')); err != nil {
			a.log.Error("the receipt file was not written", "err", err)
		}
	}
	if fi, err := os.Stat(terminationLog); err == nil && fi.Mode().IsRegular() {
		if err := os.WriteFile(terminationLog, r.JSONWithin(maxTerminationLog), 0o644); err != nil {
			a.log.Error("the termination log was not written", "err", err)
		}
	}
}

// receiptHasAPlace reports a receipt file that could never be written: the end of the
// process is too late to learn that.
func receiptHasAPlace(name string) error {
	if name == "" {
		return nil
	}
	dir := filepath.Dir(name)
	fi, err := os.Stat(dir)
	if err == nil && !fi.IsDir() {
		err = fmt.Errorf("%s is no directory", dir)
	}
	if err != nil {
		return fmt.Errorf("drain.receipt: %w", err)
	}
	return nil
}

// maxReceipt bounds what is read of an old receipt: two lists of 1,000 holders fit.
const maxReceipt = 4 << 20

// lastDrain reads the receipt that the life before this one left, for sluice_last_drain_*.
// None and a broken one are nil: a start does not depend on how the last one ended.
func (a *app) lastDrain() *drain.Receipt {
	if a.cfg.Drain.Receipt == "" {
		return nil
	}
	f, err := os.Open(a.cfg.Drain.Receipt)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var r drain.Receipt
	if err == nil {
		defer f.Close()
		err = json.NewDecoder(io.LimitReader(f, maxReceipt)).Decode(&r)
	}
	if err == nil && r.Schema != drain.ReceiptSchema {
		err = fmt.Errorf("schema %d, this program reads %d", r.Schema, drain.ReceiptSchema)
	}
	if err != nil {
		a.log.Warn("the last receipt cannot be read; its metrics stay empty", "file", a.cfg.Drain.Receipt, "err", err)
		return nil
	}
	return &r
}

// writeFile replaces a file in one step, so that nobody reads half a receipt. What is there
// and no file (a device, a pipe) is written to and stays what it is.
func writeFile(name string, data []byte) error {
	if fi, err := os.Stat(name); err == nil && !fi.Mode().IsRegular() {
		if err := os.WriteFile(name, data, 0o644); err != nil {
			return fmt.Errorf("drain.receipt: %w", err)
		}
		return nil
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".receipt-*")
	if err != nil {
		if errors.Is(err, fs.ErrPermission) { // a directory that only lets us write the file itself
			return os.WriteFile(name, data, 0o644)
		}
		return fmt.Errorf("drain.receipt: %w", err)
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(data); err != nil {
		f.Close()
		return fmt.Errorf("drain.receipt: %w", err)
	}
	if err := f.Chmod(0o644); err != nil {
		f.Close()
		return fmt.Errorf("drain.receipt: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("drain.receipt: %w", err)
	}
	return os.Rename(f.Name(), name)
}
