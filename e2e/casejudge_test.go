package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// grade is how a proxy did in one case; cases/README.md has the definitions.
type grade int

const (
	right   grade = iota
	lenient       // passed on what should have been refused, in a form that nobody can misread
	wrong         // refused or changed what is good, no answer, the wrong answer, or a connection left open
	unsafe        // something forbidden or ambiguous came through, or an answer went to the wrong request
)

func (g grade) String() string {
	switch g {
	case right:
		return "right"
	case lenient:
		return "lenient"
	case wrong:
		return "wrong"
	case unsafe:
		return "unsafe"
	}
	return "invalid"
}

// finding is a grade with its reason.
type finding struct {
	grade
	why string
}

func found(g grade, format string, args ...any) finding {
	return finding{g, fmt.Sprintf(format, args...)}
}

// judge compares what happened with the verdict.
func (t *target) judge(c *wireCase, o *played) finding {
	if f := t.judgeHarm(c, o); f.grade != right {
		return f
	}
	switch c.kind {
	case forward:
		return t.judgeForward(c, o)
	case truncated:
		return t.judgeTruncated(c, o)
	case refuse, cut:
		if strings.HasPrefix(c.file, "response") {
			return t.judgeBadGateway(c, o)
		}
		return t.judgeRefusal(c, o)
	}
	panic("BUG: a verdict that is none")
}

// judgeHarm looks for what is unsafe whatever the verdict.
func (t *target) judgeHarm(c *wireCase, o *played) finding {
	whole, allowed := 0, 1+c.number("after")+c.number("retry")
	if method, _, _ := strings.Cut(c.request, " "); !t.exact && slices.Contains([]string{"GET", "HEAD", "PUT"}, method) {
		allowed++ // RFC 9110 section 9.2.2 lets a proxy repeat an idempotent request; when is our own rule
	}
	for _, a := range o.arrivals {
		switch {
		case a.msg == nil && !errors.Is(a.err, errMore):
			return found(unsafe, "the upstream got what is no request (%v): %.300q", a.err, a.raw)
		case a.msg == nil:
		case strings.Contains(a.msg.start[1], "smuggled") && !t.exact && c.kind != forward && !c.has("hidden"):
			// It stands behind the end of what was forwarded however that is read.
		case strings.Contains(a.msg.start[1], "smuggled"):
			return found(unsafe, "a smuggled request reached the upstream: %.300q", a.msg.raw)
		default:
			whole++
		}
	}
	switch {
	case whole > allowed:
		return found(unsafe, "the upstream got %d requests", whole)
	case len(o.probes) > 0:
		return found(unsafe, "a good request afterwards was answered with %.200q", o.probes[0])
	case c.has("drop") && o.reused && (t.exact || c.kind != refuse):
		return found(unsafe, "the upstream's connection was used again")
	}
	return finding{}
}

// judgeRefusal: the request is to be answered by the proxy.
func (t *target) judgeRefusal(c *wireCase, o *played) finding {
	before := c.number("after")
	whole := 0
	var forwarded *message
	for _, a := range o.arrivals {
		if a.msg != nil && !strings.Contains(a.msg.start[1], "smuggled") {
			whole++
			forwarded = a.msg
		} else if a.msg == nil && t.exact && c.kind == refuse {
			return found(unsafe, "the upstream got a beginning: %.300q", a.raw)
		}
	}
	if c.has("gone") { // nobody is there to be answered: all that counts is what the upstream saw
		if whole > before {
			return found(unsafe, "a request that was cut short looks whole: %.300q", forwarded.raw)
		}
		return finding{}
	}
	last := (*message)(nil)
	if len(o.responses) > before {
		last = o.responses[before]
	}
	switch {
	case whole > before:
		return found(lenient, "forwarded as %.300q", forwarded.raw)
	case last != nil && last.status() < 400 && last.status() != c.status:
		return found(lenient, "answered %d by the proxy itself", last.status())
	case whole == before && len(o.arrivals) > before && o.behindArrived():
		return found(unsafe, "refused, but what stands behind it was served")
	case last == nil && !o.closed:
		return found(wrong, "no answer, and the connection is open (%v)", o.fault)
	case last == nil && t.exact:
		return found(wrong, "closed without an answer: %.200q (%v)", o.rest, o.fault)
	case o.rest != "":
		return found(unsafe, "behind the answer came %.200q", o.rest)
	case !c.keep && !o.closed:
		return found(wrong, "answered %d, but the connection is open", last.status())
	case !t.exact:
		return finding{}
	}
	return c.judgeAnswer(o, last)
}

// behindArrived: the request that stands behind the one that was refused arrived.
func (o *played) behindArrived() bool {
	for _, a := range o.arrivals {
		if a.msg != nil && strings.Contains(a.msg.start[1], "smuggled") {
			return true
		}
	}
	return false
}

// judgeAnswer compares our own answer with the verdict.
func (c *wireCase) judgeAnswer(o *played, m *message) finding {
	reason := strings.Join(m.get("x-sluice-reason"), ",")
	switch {
	case m.status() != c.status || reason != c.reason:
		return found(wrong, "answered %d %s", m.status(), reason)
	case c.keep && !o.keptWell:
		return found(wrong, "answered %d, but the connection was closed", c.status)
	case c.keep == slices.Contains(m.get("connection"), "close"):
		return found(wrong, "the answer says Connection: %q", m.get("connection"))
	}
	return finding{}
}

// judgeForward: the message is good.
func (t *target) judgeForward(c *wireCase, o *played) finding {
	if f := t.judgeUpstream(c, o); f.grade != right {
		return f
	}
	if c.has("tunnel") {
		if !o.tunneled {
			return found(wrong, "the tunnel carries nothing: %v", o.fault)
		}
		return finding{}
	}
	want := 1 + c.number("after")
	switch {
	case len(o.responses) < want:
		return found(wrong, "no whole response: %.200q (%v)", o.rest, o.fault)
	case o.rest != "":
		return found(unsafe, "behind the response came %.200q", o.rest)
	}
	if f := t.judgeClient(c, o); f.grade != right {
		return f
	}
	switch {
	case !c.keep && !o.closed:
		return found(wrong, "the client's connection is open")
	case t.exact && c.keep && !o.keptWell:
		return found(wrong, "the client's connection was closed")
	case t.exact && c.has("pool") && !o.reused:
		return found(wrong, "the upstream's connection was not used again")
	}
	return finding{}
}

// own stands for the fields that we add to every request.
var own = regexp.QuoteMeta("{own}")

const ownFields = `X-Forwarded-For: 127\.0\.0\.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: [^\r\n]*\r\nVia: 1\.[01] sluice\r\nX-Request-ID: [0-9a-f]+\r\n`

// judgeUpstream compares what the upstream got with what it must get.
func (t *target) judgeUpstream(c *wireCase, o *played) finding {
	if c.upstream == "" {
		return finding{}
	}
	var got []*message
	for _, a := range o.arrivals {
		if a.msg == nil {
			return found(wrong, "the upstream got only a beginning: %.300q", a.raw)
		}
		got = append(got, a.msg)
	}
	wants, err := readAllRequests(strings.ReplaceAll(c.upstream, "{own}", "X-Own: {own}\r\n"))
	if err != nil {
		return found(wrong, "BUG: the case expects what is no request: %v", err)
	}
	if len(got) != len(wants) {
		return found(wrong, "the upstream got %d requests, want %d (client: %s)", len(got), len(wants), o.summary())
	}
	for i, want := range wants {
		if !t.exact {
			if f := sameMeaning(want, got[i], c.request); f.grade != right {
				return f
			}
			continue
		}
		text := strings.ReplaceAll(want.normal(), "X-Own: {own}\r\n", "{own}")
		pattern := "(?s)^" + strings.ReplaceAll(regexp.QuoteMeta(text), own, ownFields) + "$"
		if latin1(regexp.MustCompile(widen(pattern)), []byte(got[i].normal())) == nil {
			return found(wrong, "the upstream got %.600q", got[i].raw)
		}
	}
	return finding{}
}

// widen makes a pattern of bytes one of runes, as latin1 does with its input.
func widen(s string) string {
	wide := make([]rune, len(s))
	for i := range len(s) {
		wide[i] = rune(s[i])
	}
	return string(wide)
}

func readAllRequests(raw string) (all []*message, err error) {
	for len(raw) > 0 {
		m, n, err := strictRequest([]byte(raw))
		if err != nil {
			return nil, err
		}
		all, raw = append(all, m), raw[n:]
	}
	return all, nil
}

// summary says in a few words what the client got.
func (o *played) summary() string {
	if len(o.responses) == 0 {
		return fmt.Sprintf("%.100q %v", o.rest, o.fault)
	}
	m := o.responses[len(o.responses)-1]
	return strings.Join(m.start[:], " ") + " " + strings.Join(m.get("x-sluice-reason"), ",")
}

// perHop are fields that each proxy sets for itself, and that say nothing about meaning.
var perHop = []string{"connection", "content-length", "transfer-encoding", "x-own", "server", "date", "via", "host", "keep-alive", "trailer", "te"}

// sameMeaning compares messages of other proxies: start line, body and fields must be
// there, and no field that had to go.
func sameMeaning(want, got *message, sent string) finding {
	target := regexp.MustCompile(`^https?://[^/?]*`).ReplaceAllString(got.start[1], "")
	switch {
	case want.start[0] != got.start[0] || strings.HasPrefix(want.start[1], "/") && target != want.start[1]:
		return found(wrong, "start line %q, want %q", got.start, want.start)
	case want.body != got.body:
		return found(wrong, "body %.100q, want %.100q", got.body, want.body)
	}
	return sameFields(want, got, sent)
}

func sameFields(want, got *message, sent string) finding {
	for _, f := range want.fields {
		name := strings.ToLower(f[0])
		if !slices.Contains(perHop, name) && !slices.Contains(got.get(name), f[1]) {
			return found(wrong, "field %q is %q, want %q", name, got.get(name), f[1])
		}
	}
	for _, name := range names(sent) {
		if !slices.Contains(perHop, name) && want.get(name) == nil && got.get(name) != nil {
			return found(unsafe, "field %q came through", name)
		}
	}
	return finding{}
}

// judgeClient compares what the client got with what it must get.
func (t *target) judgeClient(c *wireCase, o *played) finding {
	raw := c.client
	var interim string
	for _, got := range o.responses {
		var want *message
		for want == nil || want.status() < 200 && want.status() != 101 {
			m, n, err := strictResponse([]byte(raw), c.has("head"), true)
			if err != nil {
				return found(wrong, "BUG: the case expects what is no response: %v in %q", err, raw)
			}
			if want = m; m.status() < 200 {
				interim += m.raw
			}
			if c.number("after") == 0 || m.status() < 200 {
				raw = raw[n:]
			}
		}
		if t.exact && want.status() >= 200 {
			if why := dateAdded(want, got); why != "" {
				return found(wrong, "%s: the client got %.600q", why, got.raw)
			}
		}
		switch {
		case t.exact && want.normal() != got.normal():
			return found(wrong, "the client got %.600q, want %.600q", got.raw, want.raw)
		case want.start[1] != got.start[1] || want.body != got.body:
			return found(wrong, "the client got %s %.100q, want %s %.100q", got.start[1], got.body, want.start[1], want.body)
		case !t.exact && strings.HasPrefix(c.file, "response"):
			if f := sameFields(want, got, c.reply); f.grade != right {
				return f
			}
		}
	}
	if t.exact && interim != o.interim {
		return found(wrong, "the client got the interim responses %q, want %q", o.interim, interim)
	}
	return finding{}
}

// dateAdded judges the Date of a final response and takes it away if we had to add it: where
// the upstream sent none, there must be one, of now (RFC 9110 section 6.6.1).
func dateAdded(want, got *message) (fault string) {
	if want.get("date") != nil {
		return ""
	}
	stamps := got.get("date")
	if len(stamps) != 1 {
		return fmt.Sprintf("%d Date fields", len(stamps))
	}
	at, err := time.Parse(http.TimeFormat, stamps[0])
	if err != nil || time.Since(at).Abs() > time.Hour {
		return fmt.Sprintf("Date %q", stamps[0])
	}
	got.drop("Date: " + stamps[0] + "\r\n")
	return ""
}

// drop takes a field line out.
func (m *message) drop(line string) {
	m.head = strings.Replace(m.head, line, "", 1)
	m.raw = strings.Replace(m.raw, line, "", 1)
}

// addedDate is a Date as we add one.
var addedDate = regexp.MustCompile(`Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n`)

// judgeBadGateway: the upstream's answer is to be refused.
func (t *target) judgeBadGateway(c *wireCase, o *played) finding {
	switch {
	case o.reused && (t.exact || len(o.responses) == 0 || o.responses[0].status() >= 500):
		return found(unsafe, "the upstream's connection was used again")
	case len(o.responses) == 0 && !o.closed:
		return found(wrong, "no answer, and the connection is open: %q (%v)", o.rest, o.fault)
	case len(o.responses) == 0 && !t.exact:
		return finding{} // closed without a whole response: nobody was told anything false
	case len(o.responses) == 0:
		return found(wrong, "no whole answer: %q (%v)", o.rest, o.fault)
	}
	last := o.responses[len(o.responses)-1]
	switch {
	case o.rest != "":
		return found(unsafe, "behind the response came %.200q", o.rest)
	case last.status() < 500:
		return found(lenient, "forwarded as %.300q", last.raw)
	case !t.exact:
		return finding{}
	case !c.keep && !o.closed:
		return found(wrong, "answered %d, but the connection is open", last.status())
	}
	return c.judgeAnswer(o, last)
}

// judgeTruncated: the response began well and then went bad.
func (t *target) judgeTruncated(c *wireCase, o *played) finding {
	switch {
	case len(o.responses) > 0 && o.responses[0].status() >= 500 && !t.exact:
		return finding{}
	case len(o.responses) > 0 && !t.exact && !c.has("fin") && !c.has("rst"):
		return found(lenient, "forwarded as %.300q", o.responses[0].raw) // it did not break off
	case len(o.responses) > 0:
		return found(unsafe, "it looks whole: %.300q", o.responses[0].raw)
	case !o.closed:
		return found(wrong, "the client's connection is open: %q", o.rest)
	case o.reused:
		return found(unsafe, "the upstream's connection was used again")
	case t.exact && !strings.HasPrefix(o.rest, c.client) && !strings.HasPrefix(addedDate.ReplaceAllString(o.rest, ""), c.client):
		return found(wrong, "the client got %q, want the beginning %q", o.rest, c.client)
	}
	return finding{}
}
