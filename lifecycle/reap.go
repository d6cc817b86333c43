package lifecycle

import (
	"os"
	"time"
)

// reapEvery is how often a reaper looks. A zombie that is there at two looks in a row
// has been dead for that long without anybody waiting for it: an orphan that the
// kernel handed to PID 1. Children of os/exec are waited for at once, and so are never
// taken away from it.
const reapEvery = 5 * time.Second

// reaper waits for orphans.
type reaper struct {
	// zombies lists the children that are dead and not waited for, reap waits for one
	// of them: the seam of tests.
	zombies func() []int
	reap    func(pid int)

	end  chan struct{} // closed by stop
	done chan struct{} // closed by run
}

// startReaper starts a reaper if this process is PID 1 and it was not turned off.
func startReaper(cfg Config) *reaper {
	if os.Getpid() != 1 || cfg.KeepOrphans {
		return nil
	}
	r := newReaper(zombies, reap)
	// Owned by the reaper; stopped and joined by stop.
	go r.run()
	return r
}

func newReaper(zombies func() []int, reap func(int)) *reaper {
	return &reaper{zombies: zombies, reap: reap, end: make(chan struct{}), done: make(chan struct{})}
}

func (r *reaper) run() {
	defer close(r.done)
	ticker := time.NewTicker(reapEvery)
	defer ticker.Stop()
	seen := map[int]bool{}
	for {
		select {
		case <-ticker.C:
			seen = r.look(seen)
		case <-r.end:
			return
		}
	}
}

// look reaps the zombies that were there at the last look, and returns those of now.
func (r *reaper) look(seen map[int]bool) map[int]bool {
	now := make(map[int]bool)
	for _, pid := range r.zombies() {
		if seen[pid] {
			r.reap(pid)
		} else {
			now[pid] = true
		}
	}
	return now
}

func (r *reaper) stop() {
	if r != nil {
		close(r.end)
		<-r.done
	}
}
