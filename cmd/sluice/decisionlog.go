package main

import (
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/sluiceproxy/sluice/proxy"
)

// logFile is a file that lines are appended to, and that may be moved away meanwhile: Reopen then begins it anew.
type logFile struct {
	name string
	mu   sync.Mutex // guards f
	f    *os.File
}

func openLogFile(name string) (*logFile, error) {
	l := &logFile{name: name}
	if err := l.Reopen(); err != nil {
		return nil, err
	}
	return l, nil
}

// Write implements io.Writer.
func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Write(b)
}

// Reopen goes on in the file that has the name now. On an error it goes on in the one it had.
func (l *logFile) Reopen() error {
	f, err := os.OpenFile(l.name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600) // several generations append to it
	if err != nil {
		return err
	}
	l.mu.Lock()
	old := l.f
	l.f = f
	l.mu.Unlock()
	if old != nil {
		return old.Close()
	}
	return nil
}

// wireDecisions opens the decision log, if the configuration names one. stdout is shared with the access log, so that no line
// of one stands within a line of the other.
func (a *app) wireDecisions(cfg *proxy.Config, stdout io.Writer) error {
	switch name := a.cfg.Log.Decisions; name {
	case "":
	case "stdout":
		if a.decisions = a.access; a.decisions == nil {
			a.decisions = proxy.NewAccessWriter(stdout, 0, accessGather)
		}
	default:
		f, err := openLogFile(name)
		if err != nil {
			return fmt.Errorf("log.decisions: %w", err)
		}
		a.decisionFile = f
		a.decisions = proxy.NewDecisionWriter(f, 0, accessGather)
	}
	if a.decisions != nil {
		cfg.DecisionLog = a.decisions
	}
	return nil
}

// reopenLogs goes on in new files where somebody moved the old ones away.
func (a *app) reopenLogs() error {
	if a.decisionFile == nil {
		return nil
	}
	if err := a.decisionFile.Reopen(); err != nil {
		return fmt.Errorf("log.decisions: %w", err)
	}
	return nil
}

// closeLogs writes out what the logs still hold, all at the same time, and waits no longer than an exit may.
func (a *app) closeLogs() {
	var all sync.WaitGroup
	for _, w := range []*proxy.AccessWriter{a.access, a.decisions} {
		if w != nil {
			all.Go(func() { w.CloseWithin(logFlush) })
		}
	}
	all.Wait()
}
