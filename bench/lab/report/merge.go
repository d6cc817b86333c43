package report

// Merge makes one of several runs of the same thing: counts and restarts are added, of
// latencies and gaps the worst stays. Timelines and histograms are not merged.
func Merge(runs []Run) (m Run) {
	for i, r := range runs {
		if i == 0 {
			m = r
			m.Classes = append([]Class(nil), r.Classes...)
			continue
		}
		m.Seconds += r.Seconds
		m.Total = addClass(m.Total, r.Total)
		for _, c := range r.Classes {
			m.addClass(c)
		}
		m.Restarts = append(append(m.Restarts[:0:0], m.Restarts...), r.Restarts...)
		m.Replicas = append(append(m.Replicas[:0:0], m.Replicas...), r.Replicas...)
		m.ExecutedTwice = append(append(m.ExecutedTwice[:0:0], m.ExecutedTwice...), r.ExecutedTwice...)
		m.Excused += r.Excused
		if r.Gap.MS > m.Gap.MS {
			m.Gap = r.Gap
		}
		if m.Generator.Valid {
			m.Generator = r.Generator
		}
		if m.Error == "" {
			m.Error = r.Error
		}
	}
	return m
}

func (r *Run) addClass(c Class) {
	for i := range r.Classes {
		if r.Classes[i].Class == c.Class {
			r.Classes[i] = addClass(r.Classes[i], c)
			return
		}
	}
	r.Classes = append(r.Classes, c)
}

func addClass(a, b Class) Class {
	a.Sent, a.OK, a.Lost, a.Refused, a.Histogram = a.Sent+b.Sent, a.OK+b.OK, a.Lost+b.Lost, a.Refused+b.Refused, ""
	causes := map[string]int{}
	for _, m := range []map[string]int{a.Causes, b.Causes} {
		for cause, n := range m {
			causes[cause] += n
		}
	}
	if len(causes) > 0 {
		a.Causes = causes
	}
	l, k := a.Latency, b.Latency
	a.Latency = Latency{max(l.P50US, k.P50US), max(l.P90US, k.P90US), max(l.P99US, k.P99US), max(l.MaxUS, k.MaxUS)}
	return a
}
