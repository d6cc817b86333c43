// Package sdnotify tells systemd how the process is, by the sd_notify protocol.
//
//	n := sdnotify.New(sdnotify.Config{
//		Health: registry,
//		Alive:  func() bool { return server.Progressing() },        // the loops turn
//		Status: func() string { return "12 connections, 18s left" },
//	})
//	manager.Register(n) // among the first: it tells the story to the end
//	err := n.Reload(func() error { return config.Reload() })
//
//	READY=1                 once ready; again after an undo, and after each reload
//	STOPPING=1              when the process is on its way out
//	STATUS=                 one line for `systemctl status`, kept up to date
//	RELOADING=1             with MONOTONIC_USEC, around a reload
//	EXTEND_TIMEOUT_USEC     while starting and while stopping, renewed
//	WATCHDOG=1              while Alive says so
//
// Without NOTIFY_SOCKET it does nothing at all. The socket and the watchdog's interval
// are read by github.com/coreos/go-systemd from the environment, which is where the
// protocol puts them (sd_notify(3), sd_watchdog_enabled(3)).
//
// # Guarantees
//
// READY is never sent before the process is ready, whatever else happens (a reload while
// starting included). The watchdog is fed by the goroutine that tells everything else,
// and only while Alive is true: a process whose loops hang is restarted. No text of an
// error can smuggle an assignment into a message.
//
// # Limits
//
// systemd does not go back from STOPPING=1: it kills the process when TimeoutStopSec is
// over, extended or not. Config.Exiting keeps a drain that may be undone, or that parks,
// from being announced as a stop.
package sdnotify
