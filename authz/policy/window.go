package policy

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a policy means the same on hosts and images that know no time zones

	"github.com/sluiceproxy/sluice/internal/yaml"
)

// Window is a part of time, for Date, TimeOfDay and DayOfWeek.
type Window struct {
	// From belongs to it, Before does not. Of a Date they are Unix seconds, and the least and
	// greatest of all stand for no bound; of a TimeOfDay seconds since midnight, and
	// From >= Before goes over midnight.
	From, Before int64
	Days         uint8          // of a DayOfWeek: bit 0 is Sunday
	Zone         *time.Location // whose clock and calendar
}

const (
	noFrom, noBefore = math.MinInt64, math.MaxInt64 // of a Date
	day              = 24 * 60 * 60
)

var (
	windowWords = []string{"after", "before", "timezone"}
	dayWords    = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} // as time.Weekday counts
	dateForms   = []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05", time.RFC3339}
	clockForms  = []string{"15:04", "15:04:05", "3:04pm", "3:04:05pm"}
)

// holds says whether a time is in the window. A request without one was not given to rules as it must be.
func (w *Window) holds(c Criterion, now time.Time) value {
	if now.IsZero() {
		return failed
	}
	switch c {
	case Date:
		s := now.Unix()
		return is(w.From <= s && s < w.Before)
	case TimeOfDay:
		h, m, sec := now.In(w.Zone).Clock()
		s := int64(h)*3600 + int64(m)*60 + int64(sec)
		if w.From < w.Before {
			return is(w.From <= s && s < w.Before)
		}
		return is(w.From <= s || s < w.Before)
	case DayOfWeek:
		return is(w.Days>>now.In(w.Zone).Weekday()&1 == 1)
	}
	return failed
}

// readWindow reads {after, before, timezone} of a Date or a TimeOfDay.
func readWindow(test Test, n yaml.Node, r *yaml.Reader) (Expr, bool) {
	if !r.Expect(n, yaml.Map) {
		return Expr{}, false
	}
	w, ok := Window{From: noFrom, Before: noBefore}, true
	if test.Criterion == TimeOfDay {
		w.From, w.Before = 0, day
	}
	w.Zone, ok = readZone(n, r)
	bounds := 0
	for i := range n.Len() {
		key, value := n.Entry(i)
		at := r.Key(key.Text())
		switch key.Text() {
		case "after":
			ok = readBound(&w.From, test.Criterion, w.Zone, value, at) && ok
			bounds++
		case "before":
			ok = readBound(&w.Before, test.Criterion, w.Zone, value, at) && ok
			bounds++
		case "timezone":
		default:
			r.Unknown("bound", key, windowWords)
			ok = false
		}
	}
	switch {
	case !ok:
		return Expr{}, false
	case bounds == 0:
		r.FaultOf(yaml.Required, n, "neither after nor before")
	case test.Criterion == Date && w.From >= w.Before:
		r.FaultOf(yaml.Conflict, n, "no time is after the one and before the other")
	case test.Criterion == TimeOfDay && w.From == w.Before:
		r.FaultOf(yaml.Conflict, n, "after and before are the same; leave the criterion out to mean the whole day")
	default:
		return Expr{Op: Leaf, Test: test.at(w)}, true
	}
	return Expr{}, false
}

func (t Test) at(w Window) Test {
	t.Matcher, t.Window = During, &w
	return t
}

func readZone(n yaml.Node, r *yaml.Reader) (*time.Location, bool) {
	v, given := n.Get("timezone")
	if !given {
		return time.UTC, true
	}
	at := r.Key("timezone")
	if !at.Expect(v, yaml.String) {
		return time.UTC, false
	}
	// "Local" would be another one on each host.
	zone, err := time.LoadLocation(v.Text())
	if err != nil || v.Text() == "" || v.Text() == "Local" {
		at.FaultOf(yaml.BadValue, v, "%q is no time zone; write UTC or a name such as Europe/Berlin", v.Text())
		return time.UTC, false
	}
	return zone, true
}

func readBound(out *int64, c Criterion, zone *time.Location, n yaml.Node, r *yaml.Reader) bool {
	if !r.Expect(n, yaml.String) {
		return false
	}
	forms, text := dateForms, n.Text()
	if c == TimeOfDay {
		forms, text = clockForms, strings.ToLower(strings.ReplaceAll(text, " ", ""))
	}
	for _, form := range forms {
		t, err := time.ParseInLocation(form, text, zone)
		switch {
		case err != nil:
		case c == Date:
			*out = t.Unix()
			return true
		default:
			h, m, s := t.Clock()
			*out = int64(h)*3600 + int64(m)*60 + int64(s)
			return true
		}
	}
	if c == TimeOfDay {
		r.FaultOf(yaml.BadValue, n, "%q is no time of day; write it as \"18:00\" or \"6:00pm\"", n.Text())
	} else {
		r.FaultOf(yaml.BadValue, n, "%q is no date; write it as 2026-01-31, 2026-01-31T18:00 or 2026-01-31T18:00:00Z", n.Text())
	}
	return false
}

// readDays reads "mon-fri", "sat,sun", a list of such, or {days: those, timezone: Z}.
func readDays(test Test, n yaml.Node, r *yaml.Reader) (Expr, bool) {
	w, ok := Window{Zone: time.UTC}, true
	if n.Kind() == yaml.Map {
		for i := range n.Len() {
			if key, _ := n.Entry(i); key.Text() != "days" && key.Text() != "timezone" {
				r.Unknown("key", key, []string{"days", "timezone"})
				ok = false
			}
		}
		zone, known := readZone(n, r)
		w.Zone, ok = zone, ok && known
		days, given := n.Get("days")
		if !given {
			r.FaultOf(yaml.Required, n, "no days")
			return Expr{}, false
		}
		n, r = days, r.Key("days")
	}
	switch n.Kind() {
	case yaml.List:
		if n.Len() == 0 || n.Len() > len(dayWords) {
			r.FaultOf(yaml.OutOfRange, n, "a list of %d days; from 1 to %d", n.Len(), len(dayWords))
			return Expr{}, false
		}
		for i := range n.Len() {
			ok = readDayWords(&w.Days, n.Item(i), r.Index(i)) && ok
		}
	default:
		ok = readDayWords(&w.Days, n, r) && ok
	}
	return Expr{Op: Leaf, Test: test.at(w)}, ok
}

// readDayWords adds "mon", "mon,wed" or "fri-mon".
func readDayWords(days *uint8, n yaml.Node, r *yaml.Reader) bool {
	if !r.Expect(n, yaml.String) {
		return false
	}
	for word := range strings.SplitSeq(strings.ToLower(n.Text()), ",") {
		from, to, span := strings.Cut(strings.TrimSpace(word), "-")
		if !span {
			to = from
		}
		first, last := slices.Index(dayWords, from), slices.Index(dayWords, to)
		if first < 0 || last < 0 {
			r.FaultOf(yaml.BadValue, n, "%q is no day; write mon, \"mon,wed\" or mon-fri", word)
			return false
		}
		for d := first; ; d = (d + 1) % len(dayWords) {
			*days |= 1 << d
			if d == last {
				break
			}
		}
	}
	return true
}

func printWindow(b []byte, w *Window) []byte {
	if w == nil {
		return append(b, 0)
	}
	b = binary.AppendVarint(append(b, 1, w.Days), w.From)
	return printString(binary.AppendVarint(b, w.Before), w.Zone.String())
}

// window returns the word for a window, the same for equal ones.
func (c *compiler) window(w *Window) uint32 {
	c.buf = printWindow(append(c.buf[:0], "window"...), w)
	if word, ok := c.sets[string(c.buf)]; ok {
		return word
	}
	word := uint32(len(c.pool.windows))
	c.pool.windows = append(c.pool.windows, *w)
	c.sets[string(c.buf)] = word
	return word
}
