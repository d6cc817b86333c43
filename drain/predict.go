package drain

import "time"

// predictor says when connections will be gone, by the rules of the drain that runs and by
// what was observed. It reads each Lives once.
type predictor struct {
	now      time.Time
	deadline time.Time // zero: no drain runs
	began    time.Time
	cutAt    time.Time
	idleBy   time.Time
	patience time.Duration
	known    map[livesKey]*left // nil: nothing was observed
}

type livesKey struct {
	lives *Lives
	class Class
}

func (t *Tracker) predictor(now time.Time) *predictor {
	p := &predictor{now: now, known: map[livesKey]*left{}}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r := &t.run; t.state == Draining {
		p.deadline, p.began, p.cutAt, p.idleBy, p.patience = r.deadline, r.began, r.cutAt, r.idleBy, r.patience
	}
	return p
}

// left is what was observed of such connections; nil: nothing.
func (p *predictor) left(c *Conn, class Class) *left {
	k := livesKey{c.lives(), class}
	l, ok := p.known[k]
	if !ok {
		if r, some := k.lives.read(class); some {
			l = &r
		}
		p.known[k] = l
	}
	return l
}

// survives is the chance that a connection lasts more longer; known is false if too little
// was observed to say so.
func (p *predictor) survives(c *Conn, class Class, age, more time.Duration) (chance float64, known bool) {
	l := p.left(c, class)
	if l == nil {
		return 0, false
	}
	return l.survives(age, more)
}

// end predicts one connection, which has been of its class for age.
func (p *predictor) end(c *Conn, class Class, age time.Duration) End {
	draining := !p.deadline.IsZero()
	if class == Idle || class == Handshake {
		if !draining || p.patience <= 0 {
			return p.atDeadline(draining)
		}
		by := later(p.idleBy, p.now.Add(p.patience-age))
		if by.After(p.cutAt) {
			return p.atDeadline(draining)
		}
		return End{InMS: max(0, by.Sub(p.now)).Milliseconds(), By: EndIdle}
	}
	e := p.atDeadline(draining)
	if limit := c.limit(); draining && limit > 0 {
		if in := max(0, limit-min(p.now.Sub(p.began), age)).Milliseconds(); in < e.InMS {
			e = End{InMS: in, By: EndRoute}
		}
	}
	l := p.left(c, class)
	if l == nil {
		return e
	}
	if draining {
		if chance, known := l.survives(age, time.Duration(e.InMS)*time.Millisecond); known {
			e.CutChance = &chance
		}
	}
	if rest, known := l.rest(age); known && (!draining || rest.Milliseconds() <= e.InMS) {
		e.InMS, e.By = rest.Milliseconds(), EndObserved
	}
	return e
}

func (p *predictor) atDeadline(draining bool) End {
	if !draining {
		return End{By: EndUnknown}
	}
	return End{InMS: max(0, p.cutAt.Sub(p.now)).Milliseconds(), By: EndDeadline}
}
