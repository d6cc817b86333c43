package handover

import (
	"syscall"
	"time"
)

// possible says that this system can hand over.
const possible = true

// perform carries out one action. Called by run.
func (u *Upgrader) perform(a Action) {
	h := u.cfg.Hooks
	switch a.Kind {
	case Spawn:
		u.spawn()
	case Permit:
		u.next.say(linkPermit)
	case Refresh:
		h.Refresh(u.ctx)
	case Switch:
		u.cfg.Doors.Give(true)
		h.Evict()
		h.Yield()
		u.next.say(linkSwitch)
		h.Leave(time.Now().Add(u.cfg.Times.Trial()))
	case Verify:
		lives := u.next.lives()
		u.feed(func(m *Machine, _ time.Time) { m.Verified(lives) })
	case Confirm:
		u.confirm()
	case TakeBack:
		u.cfg.Doors.Give(false)
		h.TakeBack()
		h.Share(len(u.cfg.Members()))
	case Terminate:
		u.next.say(linkKeep)
		u.signal(syscall.SIGTERM)
	case Kill:
		u.cfg.Log.Warn("the successor does not go by itself; it is killed", "pid", u.next.process.Pid)
		u.signal(syscall.SIGKILL)
	case Tell:
		u.tell(a.Result, a.Reason)
	}
}

func (u *Upgrader) signal(sig syscall.Signal) {
	if err := u.next.signal(sig); err != nil {
		u.cfg.Log.Error("the successor cannot be signalled", "pid", u.next.process.Pid, "signal", sig.String(), "err", err)
	}
}

// tell puts a turn of the upgrade into the log.
func (u *Upgrader) tell(r Result, reason string) {
	u.mu.Lock()
	u.since = time.Now()
	u.mu.Unlock()
	p := u.Progress()
	log := u.cfg.Log.With("generation", p.Generation, "pid", p.PID)
	switch r {
	case Refused:
		log.Error("upgrade failed; this process serves on", "reason", reason)
	case TakenBack:
		log.Error("upgrade taken back; this process serves again", "reason", reason)
	case Underway:
		log.Info("upgrade: the successor starts", "path", u.cfg.Command.Path, "ready_within", u.cfg.Times.Ready.String())
	case Switched:
		log.Info("upgrade: the successor serves", "take_back_within", u.cfg.Times.TakeBack.String())
	case Succeeded:
		log.Info("upgrade: the successor stands alone")
	case None:
	}
}

// spawn starts the successor, and two goroutines that end with it.
func (u *Upgrader) spawn() {
	inbox, err := newInbox()
	if err == nil {
		u.inbox.close() // of an earlier one, which is gone
		u.inbox = inbox
		members := u.cfg.Members()
		held, fds := u.cfg.Doors.offer()
		names := make([]string, len(held))
		for i, h := range held {
			names[i] = h.Name
		}
		u.cfg.Doors.Lend(names) // until it says otherwise, or is gone
		u.cfg.Hooks.Share(len(members) + 1)
		u.next, err = u.cfg.Command.start(Offer{Generation: u.cfg.Generation + 1, PID: u.cfg.PID, Supervisor: u.cfg.Supervisor,
			Sockets: held, Members: members}, fds, inbox.name)
	}
	if err != nil {
		u.inbox.close()
		u.forsake()
		u.feed(func(m *Machine, _ time.Time) { m.Spawned(err) })
		return
	}
	u.mu.Lock()
	u.pid, u.admin = u.next.process.Pid, ""
	u.mu.Unlock()
	next := u.next
	heard := make(chan struct{})                                              // closed by listen
	u.wg.Go(func() { defer close(heard); u.listen(inbox, next.process.Pid) }) // ends when inbox does: by await, or by run
	go u.await(inbox, next, heard)                                            // ends with the successor; only the machine waits for that
}

// forsake notes that there is no successor.
func (u *Upgrader) forsake() {
	u.cfg.Doors.Lend(nil)
	u.cfg.Hooks.Share(len(u.cfg.Members()))
}

// rest kills a successor that would outlive us and does not serve.
func (u *Upgrader) rest() {
	u.mu.Lock()
	stage := u.machine.Stage()
	u.mu.Unlock()
	if stage == Starting || stage == Ending {
		u.signal(syscall.SIGKILL)
	}
	u.inbox.close()
}

// listen hears the successor.
func (u *Upgrader) listen(in *inbox, pid int) {
	for {
		n, err := in.read(pid)
		if err != nil {
			if ended(err) {
				return
			}
			u.cfg.Log.Warn("a message of the successor makes no sense", "pid", pid, "err", err)
			continue
		}
		if n.report != nil {
			u.cfg.Doors.Lend(n.report.Taken)
			u.mu.Lock()
			u.admin = n.report.Admin
			u.mu.Unlock()
		}
		ours := u.cfg.Hooks.Policy()
		u.feed(func(m *Machine, now time.Time) {
			m.Heard(now, Notice{Ready: n.ready, Stopping: n.stopping, Report: n.report, Ours: ours})
		})
	}
}

// await reports the end of the successor, after everything that it had said was heard.
func (u *Upgrader) await(in *inbox, next *successor, heard <-chan struct{}) {
	how := next.wait()
	next.link.Close()
	in.last()
	<-heard
	u.feed(func(m *Machine, _ time.Time) {
		if m.Stage() != Confirmed { // after that they are not ours to speak of
			u.cfg.Doors.Lend(nil)
		}
		m.Exited(how)
	})
}

// confirm lets go of everything that the successor has.
func (u *Upgrader) confirm() {
	held, _ := u.cfg.Doors.offer()
	for _, h := range held {
		if u.cfg.Doors.Taken(h.Name) {
			u.cfg.Doors.Drop(h.Name)
		}
	}
	u.cfg.Hooks.Confirm(u.next.process.Pid)
	u.next.say(linkConfirm)
}
