//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// ignoreUpgradeSignal is for the times in which nobody upgrades: a SIGUSR2 that comes too
// early or too late would end the process, which is what it does by default.
func ignoreUpgradeSignal() { signal.Ignore(syscall.SIGUSR2) }

// onUpgradeSignal calls f for each SIGUSR2 until stop is called; then it is ignored.
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
		ignoreUpgradeSignal() // before Stop, which would bring the default back
		signal.Stop(signals)
		close(signals)
		<-done
	}
}
