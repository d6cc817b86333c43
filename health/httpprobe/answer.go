package httpprobe

import (
	"encoding/json"
	"maps"
	"strings"
	"unicode/utf8"

	"github.com/sluiceproxy/sluice/health"
)

// MaxBody is above the length of every body, in bytes: the kubelet reads that much of
// an answer and calls a longer one a failure to read.
const MaxBody = 10 << 10

// Answer is the JSON form of a probe's answer.
type Answer struct {
	Probe string `json:"probe"`
	health.Verdict
	Unknown   []string `json:"unknown_excludes,omitempty"` // excludes that name no check
	Truncated bool     `json:"truncated,omitempty"`        // texts or warnings were left out to fit MaxBody
}

// Status is the JSON form of /status.
type Status struct {
	health.Report
	Truncated bool `json:"truncated,omitempty"` // texts or attributes were left out to fit MaxBody
}

// steps are the lengths that texts are cut to, one after the other, until a body fits.
// At 0 the list that tells least is dropped.
var steps = [...]int{1024, 256, 64, 0}

// encodeAnswer renders an answer in less than MaxBody bytes.
func encodeAnswer(a Answer) string {
	for _, most := range steps {
		if body := encode(a); len(body) < MaxBody {
			return body
		}
		a.Truncated = true
		a.Process.Reason = shorten(a.Process.Reason, max(most, 64))
		a.Failing, a.Warning = shortenReasons(a.Failing, most), shortenReasons(a.Warning, most)
	}
	a.Warning, a.Unknown = nil, nil
	a.Failing = a.Failing[:min(len(a.Failing), 32)]
	return encode(a)
}

func shortenReasons(reasons []health.Reason, most int) []health.Reason {
	out := make([]health.Reason, len(reasons))
	for i, r := range reasons {
		r.Check, r.Error = shorten(r.Check, 64), shorten(r.Error, most)
		out[i] = r
	}
	return out
}

// encodeStatus renders a report in less than MaxBody bytes.
func encodeStatus(s Status) string {
	for _, most := range steps {
		if body := encode(s); len(body) < MaxBody {
			return body
		}
		s.Truncated = true
		s.Process.Reason = shorten(s.Process.Reason, max(most, 64))
		s.Statuses = maps.Clone(s.Statuses)
		for name, c := range s.Statuses {
			c.Error, c.Attrs = shorten(c.Error, most), shortenAttrs(c.Attrs, most)
			s.Statuses[name] = c
		}
	}
	if body := encode(s); len(body) < MaxBody {
		return body
	}
	s.Statuses, s.Checks = map[string]health.Check{}, []string{}
	return encode(s)
}

func shortenAttrs(attrs []health.Attr, most int) []health.Attr {
	if most == 0 {
		return nil
	}
	out := make([]health.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = health.Attr{Key: shorten(a.Key, most), Value: shorten(a.Value, most)}
	}
	return out
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("BUG: httpprobe: " + err.Error()) // names, numbers and texts only
	}
	return string(b) + "\n"
}

// line makes a text one line of a body: an error may contain line ends.
func line(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	return shorten(s, MaxBody-64)
}

// shorten cuts s to at most most bytes and "...", between two runes.
func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	if most == 0 {
		return ""
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "..."
}
