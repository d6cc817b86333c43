// Package record is the account that the lab's clients keep: what was due when, what
// became of it, and how long it took, by class and by second.
//
//	r := record.New(time.Now())
//	e := r.Begin(record.Short, "s-1", due)      // an arrival; how late it is counts
//	r.Sent(e, record.Conn{Local: addr, Opened: at})
//	r.End(e, record.ResetBefore, err)           // once
//	s := r.Sum()                                // totals, histograms, failures, gap
//
// Guarantees: latency is counted from the moment at which a request was due and not from
// the one at which it was sent, so that a stall is seen in full (no coordinated omission).
// Each Begin has exactly one End. Safe for concurrent use.
//
// Limits: histograms have two significant digits and end at 60 s. Of failures the first
// 20,000 are kept; all are counted.
package record
