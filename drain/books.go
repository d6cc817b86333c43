package drain

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Audit checks that the books of a final receipt balance: everything that was there or
// came is among what ended, whatever the way. An error is a bug of the account, and what
// the receipt says is not to be believed.
func (r Receipt) Audit() error {
	var errs []error
	equal := func(what string, in, out uint64) {
		if in != out {
			errs = append(errs, fmt.Errorf("%s: %d came in and %d went out", what, in, out))
		}
	}
	o, x := r.Outcomes, r.Exchanges
	equal("connections", uint64(r.Open.Total())+r.Accepted,
		o.Completed+o.ClientClosed+o.IdleClosed+o.Cut+o.Errored+uint64(r.StuckTotal))
	equal("exchanges", x.Started, x.LameDuck+x.Draining+x.Interrupted+x.Failed)
	equal("cut connections", uint64(r.CutTotal), o.Cut)
	if r.ActualLoss > o.IdleClosed {
		errs = append(errs, fmt.Errorf("%d lost by %d idle closes", r.ActualLoss, o.IdleClosed))
	}
	return errors.Join(errs...)
}

// JSONWithin is the receipt as one line of JSON of at most limit bytes: names are left out
// until it fits, counts never. Below 2 KiB even the counts may not fit; then it is what
// [Receipt.String] says.
func (r Receipt) JSONWithin(limit int) []byte {
	const longest = 200 // of a text that somebody else wrote
	short := func(s string) string { return s[:min(len(s), longest)] }
	r.Trigger = short(r.Trigger)
	r.Process.Version, r.Process.Host = short(r.Process.Version), short(r.Process.Host)
	for {
		raw, err := json.Marshal(r)
		if err != nil {
			panic("BUG: a receipt is always JSON: " + err.Error())
		}
		switch {
		case len(raw) <= limit:
			return raw
		case len(r.Cut) > 0 || len(r.Stuck) > 0:
			r.Cut, r.Stuck = r.Cut[:len(r.Cut)/2], r.Stuck[:len(r.Stuck)/2]
		case len(r.Listeners) > 0:
			r.Listeners = r.Listeners[:len(r.Listeners)/2]
		default:
			line := r.String()
			return []byte(line[:min(len(line), limit)])
		}
	}
}
