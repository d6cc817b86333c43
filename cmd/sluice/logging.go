package main

import (
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/lmittmann/tint"

	"github.com/sluiceproxy/sluice/config"
	"github.com/sluiceproxy/sluice/proxy"
)

// logFlush is how long an exit waits for whoever reads the logs.
const logFlush = 2 * time.Second

// accessGather is how long an access record may wait for others before it is written.
const accessGather = 50 * time.Millisecond

// openLog makes the process log on f as the configuration asks; whoever closes w writes out
// the rest. A log that nobody reads must cost lines, never a request or the stop: the lines go
// through a bounded buffer, and a pipe whose reader went away is an error of its writes
// and not SIGPIPE, which would end the process.
func openLog(f *os.File, cfg config.Log) (log *slog.Logger, w *proxy.AccessWriter) {
	signal.Ignore(syscall.SIGPIPE)
	w = proxy.NewAccessWriter(f, 0, 0)
	return newLogger(w, isTerminal(f), cfg), w
}

func newLogger(w io.Writer, terminal bool, cfg config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		panic("BUG: log.level was validated: " + err.Error())
	}
	if cfg.Format == "json" || cfg.Format == "auto" && !terminal {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
	}
	return slog.New(textHandler(w, level, !terminal || os.Getenv("NO_COLOR") != "" || !draws()))
}

// draws reports whether terminals here understand more than text. NO_COLOR (no-color.org) is about
// colours alone.
func draws() bool { return os.Getenv("TERM") != "dumb" }

func textHandler(w io.Writer, level slog.Level, plain bool) slog.Handler {
	return tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly + ".000", NoColor: plain})
}

// isTerminal reports whether f is a character device that a person may look at. It says nothing of
// colours and drawings: see draws.
func isTerminal(f *os.File) bool {
	fi, err := f.Stat()
	return err == nil && fi.Mode()&os.ModeCharDevice != 0 && f.Name() != os.DevNull
}
