package handover

import (
	"fmt"
	"strings"
	"sync"
)

// Voice is how a process tells its state to whoever started it, and later to whoever
// supervises: systemd believes only the main process, and a successor becomes that when it
// is alone. It replaces the sending half of sd_notify for package sdnotify.
type Voice struct {
	supervisor string // NOTIFY_SOCKET of systemd; empty: none
	report     func() Report

	mu     sync.Mutex // guards what follows
	target string     // where messages go; empty: nobody listens
	first  string     // the target at the start
	trial  bool       // target is the predecessor: each message carries the report
	ready  bool       // READY=1 was sent last, and not STOPPING=1
	status string     // the last STATUS assignment
}

// NewVoice returns the voice of a process that was started with given. report is asked
// while there is a predecessor.
func NewVoice(given *Given, report func() Report) *Voice {
	return &Voice{supervisor: given.Supervisor(), target: given.notify, first: given.notify, trial: given.Offer != nil, report: report}
}

// Send sends a message of sd_notify(3) and reports whether anybody ever listened. It is
// what sdnotify.Config.Send wants.
func (v *Voice) Send(message string) (sent bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for line := range strings.Lines(message) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "READY=1":
			v.ready = true
		case line == "STOPPING=1":
			v.ready = false
		case strings.HasPrefix(line, "STATUS="):
			v.status = line
		}
	}
	if v.target == "" {
		return v.first != "", nil
	}
	if v.trial {
		// A predecessor that cannot be told is gone. The link says so, and whoever supervises
		// hears then what was missed: see Alone.
		_ = sendNotice(v.target, message+"\n"+v.report().encode())
		return true, nil
	}
	return true, sendNotice(v.target, message)
}

// Report tells the predecessor how this process is, if it still listens.
func (v *Voice) Report() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.trial || v.target == "" {
		return nil
	}
	return sendNotice(v.target, v.report().encode())
}

// Alone says that the predecessor is gone: from now on systemd hears us, and first what it
// missed.
func (v *Voice) Alone() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.trial {
		return nil
	}
	v.trial, v.target = false, v.supervisor
	if v.target == "" {
		return nil
	}
	message := v.status
	if v.ready {
		message += "\nREADY=1"
	}
	return sendNotice(v.target, strings.TrimPrefix(message, "\n"))
}

// HandTo says that the process pid is the main one now, and falls silent: what we say from
// now on is not about the service.
func (v *Voice) HandTo(pid int) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	target := v.target
	v.target = ""
	if v.trial || target == "" {
		return nil
	}
	return sendNotice(target, fmt.Sprintf("MAINPID=%d", pid))
}

// Store gives systemd the sockets to keep, so that not even kill -9 loses what is queued
// in them. It does nothing where systemd does not keep any, or does not listen to us yet.
func (v *Voice) Store(d *Doors) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.trial || v.target == "" {
		return nil
	}
	held, fds := d.stored()
	for i, h := range held {
		if err := sendDescriptor(v.target, "FDSTORE=1\nFDNAME="+h.Name, fds[i]); err != nil {
			return fmt.Errorf("store the socket %s: %w", h.Name, err)
		}
	}
	return nil
}

// Forget has systemd forget stored sockets that nobody uses any more.
func (v *Voice) Forget(given *Given) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.trial || v.target == "" || !given.stores() {
		return nil
	}
	for _, name := range given.Surplus() {
		if err := sendNotice(v.target, "FDSTOREREMOVE=1\nFDNAME="+name); err != nil {
			return err
		}
	}
	return nil
}
