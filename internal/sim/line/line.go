package line

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/internal/sim"
)

// Options of one run. The zero value of each field breaks nothing.
type Options struct {
	Seed   uint64
	Mutant Mutant
	Trace  func(at time.Duration, format string, args ...any)
}

// Result is the account of one run.
type Result struct {
	Seed       uint64
	Violations []string
	Count      map[string]int // what happened, by class
	Generation int            // the highest that was started
	Answered   int
}

const (
	webAddr, rawAddr = "web", "raw"
	upAddr           = "up:1"

	maxTime       = 3 * time.Minute
	maxViolations = 10
)

var doors = [2]string{webAddr, rawAddr}

// line is one run.
type line struct {
	opt  Options
	net  *sim.Net
	all  []*process // by generation
	last int        // version of the policy that was published last

	owner    map[netip.AddrPort]*process // of each client's connection
	stopping bool                        // somebody asked for the end of the service
	downAt   time.Time                   // a crash left nobody: nothing is owed any more
	quiet    bool                        // clients begin nothing new
	result   Result
}

// Run plays one history.
func Run(opt Options) Result {
	l := &line{opt: opt, net: sim.New(opt.Seed), owner: map[netip.AddrPort]*process{}, last: 1, result: Result{Seed: opt.Seed}}
	l.net.MaxDelay = l.net.Between(100*time.Microsecond, 5*time.Millisecond)
	l.upstream()
	l.start(nil, fate{})
	l.script()
	l.net.Run(maxTime, func() bool { return l.over() || len(l.result.Violations) >= maxViolations })
	l.quiet = true
	l.net.Run(time.Minute, func() bool { return false })
	l.judge()
	l.result.Count, l.result.Generation = l.net.Count, len(l.all)
	return l.result
}

func (l *line) trace(format string, args ...any) {
	if l.opt.Trace != nil {
		l.opt.Trace(l.net.Now().Sub(sim.Epoch), format, args...)
	}
}

func (l *line) violate(format string, args ...any) {
	if len(l.result.Violations) < maxViolations {
		l.result.Violations = append(l.result.Violations, fmt.Sprintf("%v: ", l.net.Now().Sub(sim.Epoch))+fmt.Sprintf(format, args...))
	}
	l.trace("VIOLATION "+format, args...)
}

// over reports whether nobody is left.
func (l *line) over() bool {
	for _, p := range l.all {
		if p.alive {
			return false
		}
	}
	return true
}

// up reports whether the service is meant to be up: clients are owed an answer.
func (l *line) up() bool { return !l.stopping && l.downAt.IsZero() }

// serving is who accepts traffic; nil: nobody does at this moment.
func (l *line) serving() *process {
	for i := len(l.all) - 1; i >= 0; i-- {
		if p := l.all[i]; p.alive && p.gate {
			return p
		}
	}
	return nil
}

// youngest is who serves or would; nil: nobody is left.
func (l *line) youngest() *process {
	for i := len(l.all) - 1; i >= 0; i-- {
		if l.all[i].alive {
			return l.all[i]
		}
	}
	return nil
}

// judge looks at the end.
func (l *line) judge() {
	if !l.over() {
		for _, p := range l.all {
			if p.alive {
				l.violate("generation %d did not end: %s, upgrade %s", p.gen, p.state, p.up.Stage())
			}
		}
		return
	}
	if n := l.net.Open(); n > 0 {
		l.violate("%d sockets are left in the network", n)
	}
	if l.result.Answered == 0 {
		l.violate("nobody was answered: the history shows nothing")
	}
}
