package report

import (
	"fmt"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/sluiceproxy/sluice/bench/lab/balance"
	"github.com/sluiceproxy/sluice/bench/lab/plan"
	"github.com/sluiceproxy/sluice/bench/lab/record"
)

// keptFailures bounds the samples in a report; all are counted.
const keptFailures = 1000

// Input is what a run left behind.
type Input struct {
	Summary  *record.Summary
	Restarts []plan.Restart
	Members  []*plan.Member
	Changes  []balance.Change    // of the balancer
	Executed func(id string) int // nil: nobody knows
	Twice    []string
	Ended    time.Time
	MaxLag   time.Duration // of the generator; 0: 500 ms
}

// Build fills in what was measured; who ran, and how, the caller says.
func Build(in Input) Run {
	s := in.Summary
	r := Run{Began: s.Began, Seconds: in.Ended.Sub(s.Began).Seconds(), Restarts: in.Restarts,
		Gap: Gap{s.Gap.Milliseconds(), max(s.GapFrom.Sub(s.Began), 0).Milliseconds()}, Total: class("all", s.All())}
	if s.GapFrom.IsZero() {
		r.Gap.AtMS = 0
	}
	for _, c := range record.Classes() {
		if t := s.Classes[c]; t.Sent > 0 {
			r.Classes = append(r.Classes, class(c.String(), t))
		}
	}
	for i := range s.Seconds {
		r.Timeline = append(r.Timeline, oneSecond(s, i))
	}
	for _, m := range in.Members {
		one := Replica{Name: m.Name, Slot: m.Slot, PID: m.Identity.PID}
		for _, c := range m.Instance.Timeline().Changes() {
			one.Phases = append(one.Phases, Phase{c.Phase.String(), c.At.Sub(s.Began).Milliseconds()})
		}
		r.Replicas = append(r.Replicas, one)
	}
	r.Generator = generator(s, in.MaxLag)
	r.explain(in)
	for _, id := range in.Twice {
		if !safeToRepeat(id) {
			r.ExecutedTwice = append(r.ExecutedTwice, id)
		}
	}
	slices.Sort(r.ExecutedTwice)
	return r
}

// safeToRepeat: an ID begins with its class, and the classes that GET may be sent twice.
func safeToRepeat(id string) bool {
	for _, c := range []record.Class{record.KeepAlive, record.Upload, record.WebSocket, record.TCP} {
		if len(id) > len(c.String()) && id[:len(c.String())] == c.String() {
			return false
		}
	}
	return true
}

func class(name string, t record.Total) Class {
	c := Class{Class: name, Sent: t.Sent, OK: t.OK, Lost: t.Lost(), Refused: t.Refused(), Latency: latency(t)}
	for cause, n := range t.Failed {
		if n > 0 {
			if c.Causes == nil {
				c.Causes = map[string]int{}
			}
			c.Causes[record.Cause(cause).String()] = n
		}
	}
	if t.Latency != nil && t.Latency.TotalCount() > 0 {
		if b, err := t.Latency.Encode(hdrhistogram.V2CompressedEncodingCookieBase); err == nil {
			c.Histogram = string(b) // the library encodes it in base64
		}
	}
	return c
}

func latency(t record.Total) Latency {
	us := func(q float64) int64 { return t.Quantile(q).Microseconds() }
	return Latency{us(50), us(90), us(99), us(100)}
}

func oneSecond(s *record.Summary, i int) Second {
	var all, quick record.Total
	out := Second{ByClass: map[string]ClassSecond{}}
	for _, c := range record.Classes() {
		t := s.Seconds[i][c]
		all.Add(t)
		if c.Quick() {
			quick.Add(t)
		}
		if t.Sent > 0 {
			out.ByClass[c.String()] = ClassSecond{t.Sent, t.Lost(), t.Quantile(99).Microseconds()}
		}
	}
	out.Sent, out.OK, out.Lost, out.Refused = all.Sent, all.OK, all.Lost(), all.Refused()
	l := latency(quick)
	out.P50US, out.P99US = l.P50US, l.P99US
	if i < len(s.Open) {
		out.Open = s.Open[i]
	}
	return out
}

// lateShare is how much of the load may be late by more than a tenth of what one arrival may be.
const lateShare = 0.01

func generator(s *record.Summary, maxLag time.Duration) Generator {
	if maxLag == 0 {
		maxLag = 500 * time.Millisecond
	}
	most, tenth := s.Lag.Quantile(100), maxLag/10
	g := Generator{LagP99US: s.Lag.Quantile(99).Microseconds(), LagMaxUS: most.Microseconds(), LateShare: s.Lag.Late(tenth), NotSent: s.NotSent, Valid: true}
	switch {
	case s.Broken != "":
		g.Why = s.Broken
	case s.NotSent > 0:
		g.Why = fmt.Sprintf("%d arrivals could not be begun: too many were under way", s.NotSent)
	case most > maxLag:
		g.Why = fmt.Sprintf("an arrival began %v after it was due, at most %v may pass", most.Round(time.Millisecond), maxLag)
	case g.LateShare > lateShare:
		g.Why = fmt.Sprintf("%.1f %% of the arrivals began more than %v after they were due, at most 1 %% may", 100*g.LateShare, tenth)
	default:
		return g
	}
	g.Valid = false
	return g
}
