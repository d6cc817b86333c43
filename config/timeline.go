package config

import "time"

// Span is a part of the longest stop that the settings allow, or a moment within one.
type Span struct {
	Name    string        `json:"name"`
	Setting string        `json:"setting,omitempty"` // that decides; empty: fixed
	From    time.Duration `json:"from"`              // since the platform began to stop the process
	To      time.Duration `json:"to"`
	Within  bool          `json:"within,omitempty"` // of the span before it that is not
}

// Timeline lays out the longest stop: everything that platform.stop_timeout has to hold, in
// order, and what happens within. From and To are the same for a moment. What is left of the
// budget is the last span.
func (c *Config) Timeline() []Span {
	var spans []Span
	at := time.Duration(0)
	for _, p := range c.phases() {
		if p.d == 0 {
			continue
		}
		spans = append(spans, Span{Name: p.name, Setting: p.at, From: at, To: at + p.d})
		spans = append(spans, c.within(p, at)...)
		at += p.d
	}
	if rest := c.Platform.StopTimeout - at; rest > 0 {
		spans = append(spans, Span{Name: "to spare", From: at, To: at + rest})
	}
	return spans
}

// within is what happens in a phase that begins at.
func (c *Config) within(p phase, at time.Duration) (spans []Span) {
	add := func(name, setting string, from, to time.Duration) {
		spans = append(spans, Span{Name: name, Setting: setting, From: at + from, To: at + to, Within: true})
	}
	switch p.at {
	case "fleet.budget_wait":
		add("ready, and serving", "", 0, p.d)
	case "lame_duck.max":
		d := c.LameDuck
		add("not ready", "", 0, 0)
		if d.NoticeAfter < d.Min {
			add("goodbyes, spread", "lame_duck.notice_after", d.NoticeAfter, d.Min)
		} else {
			add("goodbyes", "lame_duck.notice_after", d.NoticeAfter, d.NoticeAfter)
		}
		add("may end if quiet or acknowledged", "lame_duck.min", d.Min, d.Max)
	case "drain.timeout":
		d := c.Drain
		if d.IdleClose > 0 {
			add("idle connections are closed", "drain.idle_close", min(d.IdleClose, d.Timeout/3), d.Timeout/2)
		}
		if d.PeerTimeout > 0 && d.PeerTimeout < d.Timeout {
			add("peers that take nothing are given up", "drain.peer_timeout", d.PeerTimeout, d.Timeout)
		}
		if d.CloseLead > 0 {
			add("WebSockets are closed", "drain.close_lead", d.Timeout-d.CloseLead, d.Timeout)
		}
		add("the rest is cut", "drain.timeout", d.Timeout, d.Timeout)
	}
	return spans
}
