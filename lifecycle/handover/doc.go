// Package handover passes listening sockets to a successor process, and takes them over
// from a predecessor or from systemd. Both come the same way: LISTEN_FDS, LISTEN_FDNAMES
// and LISTEN_PID (sd_listen_fds(3)), with READY=1 on NOTIFY_SOCKET as the answer.
//
//	in, err := handover.Receive()                     // in a process that starts
//	doors := handover.NewDoors(in)
//	ln, inherited, err := doors.Open(ctx, "web", ":8080", bind)
//	...
//	up := handover.New(handover.Config{Doors: doors, Hooks: hooks, ...})
//	err = up.Begin()                                  // in the process that is to be replaced
//
// # The life of an upgrade
//
//	predecessor                            successor
//	Begin: spawn, with sockets and link ─▶ binds nothing that it was given, accepts nothing
//	                                    ◀─ X_SLUICE_REPORT: policy in force, sockets taken
//	its policy is as new as ours: P ─────▶ admits
//	                                    ◀─ READY=1
//	yields probes and admin: S ──────────▶ accepts, answers probes and admin
//	stops accepting, says goodbye
//	take_back is over: closes its copies;
//	C ───────────────────────────────────▶ alone; tells systemd how it is
//	drains, and exits
//
// Whoever may have been left with the sockets leaves none on its own: a successor that is
// told to stop after P goes on accepting until it hears C, and closes them in good order,
// alone; or K, and the predecessor keeps them. And nobody lets go for a successor that is
// dead: whether it lives is looked at in that moment.
//
// # Guarantees
//
//   - The socket is never closed by everybody at once, so its queue outlives each of its
//     holders: nobody is refused and nobody who was queued is reset.
//   - A successor admits nothing before its policy is at least as new as that of its
//     predecessor ([Version.AtLeast]). If it dies, hangs or never gets there, the
//     predecessor serves on as if nothing had happened. If it exits within the time of
//     trial, fails, or hangs, the predecessor takes back what it still holds.
//   - A successor on trial hangs if none of its reports comes for [Silence]. It is killed
//     then, because it could wake up and serve beside who has taken back. Its trial ends
//     with a report after its time is over, so that no hang within the trial is missed.
//   - Invariant 10: a socket that somebody else may hold ([Doors.Shared]) is never given a
//     filter, and one that was inherited loses any filter before it is used.
//   - Invariant 11: descriptors are duplicated before a driver gets them; no duplicate is
//     ever in an epoll set, and none is ever made blocking (the flag belongs to the socket,
//     and the loops of the other process would hang in accept).
//
// # Limits
//
// Linux. Connections are not moved: those that are open end in the process that has them.
// What is judged on trial is that the process runs: one whose loops alone hang goes on
// reporting, and is for a supervisor's watchdog, as is one that hangs after the trial. A
// build that neither says that it reports ([Report].Steady) nor has reported since the
// switch is taken to stand when its time is over. Connections that a successor accepted and
// lost with itself, because it ended or was killed, are lost. Whoever may read the
// environment of the process may control it: that is the same user.
package handover
