package admin

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// emitter sends the values of one scrape.
type emitter struct {
	ch    chan<- prometheus.Metric
	descs *[numFamilies]*prometheus.Desc
}

// value sends a gauge or counter.
func (e emitter) value(f id, v float64, labels ...string) {
	typ := prometheus.GaugeValue
	if families[f].kind == counter {
		typ = prometheus.CounterValue
	}
	m, err := prometheus.NewConstMetric(e.descs[f], typ, v, valid(labels)...)
	e.send(f, m, err)
}

// flag sends 1 or 0.
func (e emitter) flag(f id, b bool, labels ...string) {
	v := 0.0
	if b {
		v = 1
	}
	e.value(f, v, labels...)
}

// observed sends a histogram.
func (e emitter) observed(f id, h tally, labels ...string) {
	cumulative := make(map[float64]uint64, len(h.bounds))
	n := uint64(0)
	for i, bound := range h.bounds {
		n += h.counts[i]
		cumulative[bound] = n
	}
	n += h.counts[len(h.bounds)]
	m, err := prometheus.NewConstHistogram(e.descs[f], n, h.sum, cumulative, valid(labels)...)
	e.send(f, m, err)
}

func (e emitter) send(f id, m prometheus.Metric, err error) {
	if err != nil { // the scrape goes on without it, and says so
		m = prometheus.NewInvalidMetric(e.descs[f], err)
	}
	e.ch <- m
}

// valid makes label values UTF-8: one that is not would spoil the whole scrape.
func valid(labels []string) []string {
	for i, l := range labels {
		labels[i] = strings.ToValidUTF8(l, "?")
	}
	return labels
}

// tally is a histogram in the making. counts has one more than bounds: what is above.
type tally struct {
	bounds []float64
	counts []uint64
	sum    float64
}

func newTally(bounds []float64) tally {
	return tally{bounds: bounds, counts: make([]uint64, len(bounds)+1)}
}

// observe counts one value.
func (h *tally) observe(v float64) {
	i := 0
	for i < len(h.bounds) && v > h.bounds[i] {
		i++
	}
	h.counts[i]++
	h.sum += v
}
