package main

import (
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// accountWithin is how long the account of a drain may still take once a signal came after
// everything was closed: whoever sends it wants the end, and a receipt that goes to a file
// system that hangs would never get there.
const accountWithin = 5 * time.Second

// lastSignals catches signals beside package lifecycle, which answers them until its Run
// returns and then gives them back their default: one that came in the moments after that
// would end the process without its receipt. They are caught until the process is gone.
type lastSignals struct {
	all chan os.Signal // never closed
}

func catchSignals() *lastSignals {
	l := &lastSignals{all: make(chan os.Signal, 1)}
	signal.Notify(l.all, syscall.SIGTERM, os.Interrupt, syscall.SIGHUP)
	return l
}

// account calls write, which gives the account of a life that is over, and returns its exit
// code. A signal bounds it: then the code is that of a failure, and write is left behind.
func (l *lastSignals) account(write func() int, log *slog.Logger) (code int) {
	select {
	case <-l.all: // one that lifecycle has answered
	default:
	}
	done := make(chan int, 1)
	go func() { done <- write() }() // ends with write, or with the process
	var late <-chan time.Time       // nil, and so never ready, before a signal
	for {
		select {
		case code := <-done:
			return code
		case sig := <-l.all:
			if sig != syscall.SIGHUP && late == nil { // there is nothing left to reload
				log.Info("everything is closed; the receipt is being written", "signal", sig.String(), "within", accountWithin.String())
				late = time.After(accountWithin)
			}
		case <-late:
			log.Error("the receipt could not be written in time, and nobody waits for it any more", "within", accountWithin.String())
			return exitFailed
		}
	}
}
