package opa

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/sluiceproxy/sluice/authz"
)

// node is a block (op and list) or a criterion. It knows words only: what they mean is said in rego_test.go, and by Sluice.
type node struct {
	op   string // and, or, not, nor, none_of, not_all_of; empty: a criterion
	list []node

	name    string   // of the criterion, "claim/x" for a claim
	matcher string   // empty: the bare value
	values  []string // of the matcher; networks; days
	after   string   // of windows, as written; empty: no such bound
	before  string
	zone    string // empty: UTC
}

// rule has the blocks of its actions; none: the action is left out.
type rule struct{ allow, deny []node }

// dice makes policies and requests from few words, so that they meet.
type dice struct{ *rand.Rand }

func (d dice) of(words ...string) string { return words[d.IntN(len(words))] }

func (d dice) some(words ...string) []string {
	return slices.DeleteFunc(words, func(string) bool { return d.IntN(2) == 0 })
}

func (d dice) rules() []rule {
	out := make([]rule, 1+d.IntN(3))
	for i := range out {
		if i == 0 || d.IntN(3) > 0 {
			out[i].allow = d.blocks(false)
		}
		if out[i].allow == nil || d.IntN(3) == 0 {
			out[i].deny = d.blocks(true)
		}
	}
	return out
}

// blocks are those of an action, each word once: they are the keys of a map.
func (d dice) blocks(deny bool) []node {
	words := []string{"and", "or", "not", "nor", "none_of", "not_all_of"}
	d.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
	out := make([]node, 1+d.IntN(2))
	for i := range out {
		out[i] = d.block(words[i], 2, deny)
	}
	return out
}

func (d dice) block(op string, depth int, deny bool) node {
	n := node{op: op, list: make([]node, 1+d.IntN(3))}
	for i := range n.list {
		if depth > 0 && d.IntN(3) == 0 {
			n.list[i] = d.block(d.of("and", "or", "not", "nor", "none_of", "not_all_of"), depth-1, deny)
		} else {
			n.list[i] = d.criterion(deny)
		}
	}
	return n
}

func (d dice) criterion(deny bool) node {
	n := node{name: d.of("accept", "reject", "authenticated_user", "email", "domain", "user", "groups", "groups", "claim/x", "claim/y/z",
		"http_method", "http_path", "source_ip", "date", "time_of_day", "day_of_week")}
	switch n.name {
	case "reject":
		if deny { // is a fault there: it would never apply
			n.name = "accept"
		}
	case "accept", "authenticated_user":
	case "email":
		d.text(&n, "a@b", "A@b", "b@a", "ab@b.a")
	case "domain":
		d.text(&n, "a", "b", "b.A", "B")
	case "user":
		d.text(&n, "a", "b", "A", "ab")
	case "http_method":
		d.text(&n, "GET", "POST", "PUT")
	case "http_path":
		d.text(&n, "/a", "/a/b", "/b", "/A")
	case "groups", "claim/x", "claim/y/z":
		n.matcher, n.values = d.of("", "has", "is", "exclude"), []string{d.of("a", "b", "c")}
	case "source_ip":
		n.values = append(d.some("10.0.0.0/8", "192.168.1.1", "::/0"), d.of("10.1.2.3", "10.1.2.3/32", "2001:db8::/32", "0.0.0.0/0"))
	case "date":
		n.after, n.before = d.of("", "2026-03-28", "2026-03-29T12:00"), d.of("2026-03-30", "2026-10-25", "2026-10-25T12:00:30")
	case "time_of_day":
		n.after, n.before = d.of("", "08:00", "18:00:30", "23:15"), d.of("02:30", "07:00", "12:00", "20:45")
	case "day_of_week":
		n.values = append(d.some("mon", "wed", "sat"), d.of("sun", "thu"))
	}
	if n.after != "" && d.IntN(4) == 0 {
		n.before = ""
	}
	if slices.Contains([]string{"date", "time_of_day", "day_of_week"}, n.name) {
		n.zone = d.of("", "Europe/Berlin", "America/New_York", "Asia/Kolkata")
	}
	return n
}

func (d dice) text(n *node, words ...string) {
	n.matcher = d.of("", "is", "not", "in", "not_in", "contains", "starts_with", "ends_with")
	n.values = []string{d.of(words...)}
	if n.matcher == "in" || n.matcher == "not_in" {
		n.values = append(n.values, d.some(words...)...)
		for i := range d.IntN(3) / 2 * 10 { // long lists are looked up in another way
			n.values = append(n.values, fmt.Sprint(n.values[0], i))
		}
	}
}

// query makes a request, every eighth without an address and every eighth without a time: rules about them cannot be evaluated then.
func (d dice) query() (*authz.Identity, *authz.Request) {
	req := &authz.Request{Method: d.of("GET", "POST", "get"), Path: []byte(d.of("/a", "/a/b", "/b", "/A"))}
	if d.IntN(8) > 0 {
		days := []time.Time{time.Date(2026, 3, 27, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 24, 0, 0, 0, 0, time.UTC)}
		req.Time = days[d.IntN(2)].Add(time.Duration(d.IntN(4*24*3600)) * time.Second) // clocks change in both
	}
	if d.IntN(8) > 0 {
		req.Source = netip.MustParseAddr(d.of("10.1.2.3", "10.2.2.2", "192.168.1.1", "::1", "2001:db8::1"))
	}
	if d.IntN(4) == 0 {
		return nil, req
	}
	id := &authz.Identity{User: d.of("a", "b", "ab", "A"), Email: d.of("", "a@b", "B@A", "a", "ab@b.a"), Groups: d.some("a", "b", "c")}
	if d.IntN(4) > 0 {
		id.Claims = map[string][]string{"x": d.some("a", "b")}
		if d.IntN(2) == 0 {
			id.Claims["y/z"] = d.some("a", "c")
		}
	}
	return id, req
}
