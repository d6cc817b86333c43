//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// onUpgradeSignal calls f for each SIGUSR2 until stop is called.
func onUpgradeSignal(f func()) (stop func()) {
	signals, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGUSR2)
	go func() { // ends with stop
		defer close(done)
		for range signals {
			f()
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}
