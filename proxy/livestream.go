package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/proxy/tunnel"
)

// Open streams: tunnels, calls of gRPC, and responses under way whose length nobody has declared. They outlive what they
// were allowed by, so each loop keeps a list of its own: Recheck has it look at all, and four times a second it
// looks at those that time may end. Whatever else is under way ends by itself, and is not in it.

// liveStream is the place of one stream in the lists of its loop. The zero value is in none.
type liveStream struct {
	x *exchange   // whose response or call it is; nil: p
	p *tunnelPair // nil: x

	identity *authz.Identity
	snap     *Snapshot // under which it was judged last; nil: never
	asked    *asked    // of a tunnel; nil: the head of x still stands
	began    time.Time
	maxAge   time.Duration // 0: none
	due      time.Time     // when its session, its age or its notice may be over; zero: never
	notice   time.Time     // it may not go on, and until then it may end by itself; zero: none was given
	at       [numRosters]int
}

// A loop has two lists.
const (
	everyStream  = iota
	agingStreams // those with a due
	numRosters
)

// roster is a list of streams, and how far a walk over it has come. Invariant: a walk goes from the end to the beginning, and
// what leaves is replaced by the last. So whoever is moved was looked at already, and who joins behind a walk
// was judged as it joined.
type roster struct {
	list  []*liveStream
	from  int  // list[from:] were looked at
	runs  bool // a walk does
	again bool // and another is to follow
}

func (r *roster) add(o *liveStream, which int) {
	r.list = append(r.list, o)
	o.at[which] = len(r.list) // a place and one more: 0 is none
}

func (r *roster) remove(o *liveStream, which int) {
	if o.at[which] == 0 {
		return
	}
	i, last := o.at[which]-1, len(r.list)-1
	r.list[i] = r.list[last]
	r.list[i].at[which] = i + 1
	r.list[last] = nil
	r.list = r.list[:last]
	o.at[which] = 0
}

// What a walk does between two events of its loop: looking at a clock is cheap, deciding is not, and whoever ends is told.
const (
	walkPiece   = 4096
	costGlance  = 1
	costDecides = 16
	costEnds    = 256
)

// step goes on with a walk: false, it is over. look says what it has cost.
func (r *roster) step(look func(o *liveStream) (cost int)) bool {
	for left := walkPiece; left > 0; {
		if r.from = min(r.from, len(r.list)); r.from == 0 {
			return false
		}
		r.from--
		left -= look(r.list[r.from])
	}
	return true
}

// liveStreams are those of a loop.
type liveStreams struct {
	rosters [numRosters]roster
	ticking bool // the next look of those is due

	fell streamEnd // for Faults.EndBystanders: why the one that was looked at last has ended
}

// join puts a stream into the lists.
func (l *loop) join(o *liveStream) {
	l.live.rosters[everyStream].add(o, everyStream)
	l.mayAge(o)
}

// part takes it out of them. It may have left already.
func (l *loop) part(o *liveStream) {
	for which := range l.live.rosters {
		l.live.rosters[which].remove(o, which)
	}
}

// mayAge notes when time may end a stream.
func (l *loop) mayAge(o *liveStream) {
	r := &l.live.rosters[agingStreams]
	o.due = time.Time{}
	if s := sessionOf(o.identity); s != nil && l.cfg.Sessions != nil {
		o.due = s.Expires
	}
	if o.maxAge > 0 {
		o.due = earlier(o.due, o.began.Add(o.maxAge))
	}
	if !o.notice.IsZero() {
		o.due = earlier(o.due, o.notice)
	}
	switch {
	case o.due.IsZero():
		r.remove(o, agingStreams)
	case o.at[agingStreams] == 0:
		r.add(o, agingStreams)
		l.tick()
	}
}

// bars says why a stream may not go on; goesOn: it may, by what is known now.
func (l *loop) bars(o *liveStream) streamEnd {
	now := l.now()
	if s := sessionOf(o.identity); s != nil && l.cfg.Sessions != nil {
		if why := endOf(l.cfg.Sessions.Ended(s, now)); why != goesOn {
			return why
		}
	}
	if l.gate.withheld.Load() {
		return policyChanged
	}
	if snap := l.gate.Load(); snap != o.snap {
		maxAge, ok := l.decideAgain(o, snap, now)
		if !ok {
			return policyChanged
		}
		o.snap, o.maxAge = snap, maxAge
		if o.at[everyStream] != 0 {
			l.mayAge(o)
		}
	}
	if o.maxAge > 0 && now.Sub(o.began) >= o.maxAge {
		return streamTooOld
	}
	return goesOn
}

// noticeTime is what a call or a response has to end by itself where it may not go on: most do, and then nothing of them is lost. With
// lookEvery, twice, it is less than a second, also where another process has to read first of a session that it was ended.
const noticeTime = 400 * time.Millisecond

// spare gives a stream notice, and reports whether its time is not up yet. Age gives none: it was known.
func (o *liveStream) spare(why streamEnd, now time.Time) bool {
	if why == streamTooOld {
		return false
	}
	if o.notice.IsZero() {
		o.notice = now.Add(noticeTime)
	}
	return now.Before(o.notice)
}

// doomed says why an exchange that runs is about to be ended: it waits for the end of an event, or has notice.
func (x *exchange) doomed() streamEnd {
	switch {
	case !x.running():
		return goesOn
	case x.barredFor != goesOn || x.live.notice.IsZero():
		return x.barredFor
	}
	why := x.l.bars(&x.live)
	if why != goesOn {
		x.l.stats.ended[why].Add(1)
	}
	return why
}

// Of a walk over all streams, and of one over those that time may end.
type (
	recheckNote struct{ goesOn bool }
	agingNote   struct{ goesOn bool }
)

// Recheck has each loop look at its open streams, and end those whose session is over (Config.Sessions) or that the policy in
// force does not allow: call it whenever a session may have ended. Any goroutine may; calls that come while the
// loops have yet to begin are one.
func (core *Core) Recheck() {
	core.mu.Lock()
	loops := core.loops
	core.mu.Unlock()
	for _, l := range loops {
		if !l.rechecks.Swap(true) {
			core.post(l.sh.Index(), recheckNote{})
		}
	}
}

// recheck does a piece of the walk over all streams.
func (l *loop) recheck(n recheckNote) {
	r := &l.live.rosters[everyStream]
	if !n.goesOn {
		l.rechecks.Store(false) // before anything is looked at: who comes from here on is not too late
		if r.runs {
			r.again = true
			return
		}
		r.runs, r.from = true, len(r.list)
	}
	if !r.step(l.lookAtStream) {
		if r.runs, r.again = r.again, false; !r.runs {
			return
		}
		r.from = len(r.list)
	}
	l.post(l.sh.Index(), recheckNote{goesOn: true})
}

// lookEvery is how often a loop looks at the streams that time may end.
const lookEvery = 250 * time.Millisecond

// tick has them looked at after a while, unless that is coming already.
func (l *loop) tick() {
	if l.live.ticking {
		return
	}
	l.live.ticking = true
	shard, post := l.sh.Index(), l.post
	l.cfg.AfterFunc(lookEvery, func() { post(shard, agingNote{}) })
}

// aged does a piece of the walk over the streams that time may end.
func (l *loop) aged(n agingNote) {
	r := &l.live.rosters[agingStreams]
	if !n.goesOn {
		r.from = len(r.list)
	}
	now := l.now()
	glance := func(o *liveStream) int {
		if !reached(o.due, now) {
			return costGlance
		}
		return l.lookAtStream(o)
	}
	if r.step(glance) {
		l.post(l.sh.Index(), agingNote{goesOn: true})
		return
	}
	l.live.ticking = false
	if len(r.list) > 0 {
		l.tick()
	}
}

// lookAtStream ends a stream that may not go on. A panic ends it, too.
func (l *loop) lookAtStream(o *liveStream) (cost int) {
	defer l.containStream(o)
	why := l.bars(o)
	if f := &l.cfg.Faults; f.SpareH2 || f.SpareHeadless || f.EndBystanders {
		why = l.misjudge(o, why)
	}
	switch {
	case why == goesOn && o.notice.IsZero():
		return costDecides
	case why == goesOn: // it may again
		o.notice = time.Time{}
		l.mayAge(o)
		return costDecides
	case o.x != nil && o.x.events == nil && o.spare(why, l.now()):
		l.mayAge(o)
		return costDecides
	}
	l.part(o)
	l.out = l.out[:0]
	if o.p != nil {
		o.p.endFor(why)
	} else {
		o.x.endFor(why)
	}
	return costEnds
}

// containStream is deferred while a stream is looked at: a panic ends that one, and nobody else's.
func (l *loop) containStream(o *liveStream) {
	v := recover()
	if v == nil {
		return
	}
	where := l.site
	l.site = inWalk
	l.panicked(where, v)
	l.part(o)
	switch {
	case o.p != nil:
		o.p.living().contained()
	case o.x.running():
		o.x.c.contained()
	}
}

// misjudge is a test seam: see Faults.
func (l *loop) misjudge(o *liveStream, why streamEnd) streamEnd {
	f := &l.cfg.Faults
	fell := l.live.fell
	l.live.fell = why
	switch {
	case f.EndBystanders && why == goesOn:
		return fell
	case f.SpareH2 && (o.x != nil && o.x.version == http2 || o.p != nil && o.p.within != nil):
		return goesOn
	case f.SpareHeadless && o.p != nil && o.p.ends[tunnel.Downstream].gone:
		return goesOn
	}
	return why
}
