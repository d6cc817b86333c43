package opa

import (
	"cmp"
	_ "embed"
	"fmt"
	"regexp"
	"strings"
)

// Each node becomes two rules of Rego: tN holds if it is surely true, and fN if it is surely false. What is unknown, or could not be
// evaluated, is neither, so it stays so under every negation; Rego's own undefined values do the rest.

//go:embed head.rego
var head string

// mutant is a misreading that the comparison has to notice.
type mutant string

const (
	none         mutant = ""
	denyIgnored  mutant = "deny is ignored"
	notIsNor     mutant = "not is read as not_all_of"
	anyGroup     mutant = "any group instead of that one"
	unknownFalse mutant = "what is unknown is false"
)

type writer struct {
	strings.Builder
	mutant mutant
	nodes  int
}

// module writes the rules in Rego.
func module(rules []rule, m mutant) string {
	w := &writer{mutant: m}
	w.WriteString(head + "\n")
	var allows, denies []string
	for _, r := range rules {
		for _, n := range r.allow {
			allows = append(allows, fmt.Sprint(w.node(n)))
		}
		for _, n := range r.deny {
			denies = append(denies, fmt.Sprint(w.node(n)))
		}
	}
	if m == denyIgnored {
		denies = nil
	}
	fmt.Fprintf(w, "allows := [%s]\n\ndenies := [%s]\n", strings.Join(allows, ", "), strings.Join(denies, ", "))
	return w.String()
}

// node writes one node and all below it, and returns its number.
func (w *writer) node(n node) int {
	var below []int
	for _, child := range n.list {
		below = append(below, w.node(child))
	}
	id := w.nodes
	w.nodes++
	op := n.op
	if w.mutant == notIsNor && op == "not" {
		op = "nor"
	}
	switch op {
	case "":
		w.criterion(id, n)
	case "and":
		w.all("true", id, "true", below)
		w.any("false", id, "false", below)
	case "or":
		w.any("true", id, "true", below)
		w.all("false", id, "false", below)
	case "not", "none_of": // all are false
		w.all("true", id, "false", below)
		w.any("false", id, "true", below)
	case "nor", "not_all_of": // any is false
		w.any("true", id, "false", below)
		w.all("false", id, "true", below)
	}
	return id
}

func (w *writer) all(of string, id int, each string, below []int) {
	fmt.Fprintf(w, "surely_%s[%d] if {\n", of, id)
	for _, b := range below {
		fmt.Fprintf(w, "\tt_%s_%d\n", each, b)
	}
	fmt.Fprintf(w, "}\n\nt_%s_%d if surely_%[1]s[%[2]d]\n\n", of, id)
}

func (w *writer) any(of string, id int, each string, below []int) {
	for _, b := range below {
		w.all(of, id, each, []int{b})
	}
}

// criterion is sure of anything only if what it asks about is there.
func (w *writer) criterion(id int, n node) {
	there, met := n.rego(w.mutant)
	if w.mutant == unknownFalse && there == "known" {
		there = "true"
	}
	fmt.Fprintf(w, "met_%d if %s\n\n", id, strings.Join(met, fmt.Sprintf("\n\nmet_%d if ", id)))
	fmt.Fprintf(w, "t_true_%d if {\n\t%s\n\tmet_%[1]d\n}\n\nt_false_%[1]d if {\n\t%[2]s\n\tnot met_%[1]d\n}\n\n", id, there)
}

// rego says what has to be there, and the ways in which the criterion is met.
func (n node) rego(m mutant) (there string, met []string) {
	zone := cmp.Or(n.zone, "UTC")
	one := quoted(append(n.values, "")[0])
	switch name, path, _ := strings.Cut(n.name, "/"); name {
	case "accept":
		return "true", []string{"true"}
	case "reject":
		return "true", []string{"false"}
	case "authenticated_user":
		return "known", []string{"known"}
	case "email", "domain":
		return "known", []string{n.text(name, strings.ToLower)}
	case "user":
		return "known", []string{n.text("input.identity.user", strings.Clone)}
	case "http_method":
		return "true", []string{n.text("input.method", strings.Clone)}
	case "http_path":
		return "true", []string{n.text("input.path", strings.Clone)}
	case "groups", "claim":
		subject := "input.identity.groups"
		if name == "claim" {
			subject = fmt.Sprintf("claim(%q)", path)
		} else if m == anyGroup {
			return "known", []string{"count(input.identity.groups) > 0"}
		}
		switch n.matcher {
		case "is": // it and no other
			return "known", []string{fmt.Sprintf("%s == [%s]", subject, one)}
		case "exclude":
			return "known", []string{fmt.Sprintf("not %s in %s", one, subject)}
		}
		return "known", []string{fmt.Sprintf("%s in %s", one, subject)}
	case "source_ip":
		for _, network := range n.values {
			if !strings.Contains(network, "/") {
				met = append(met, fmt.Sprintf("input.source == %q", network))
			} else {
				met = append(met, fmt.Sprintf("net.cidr_contains(%q, input.source)", network))
			}
		}
		return "input.source", met
	case "day_of_week":
		return "input.now", []string{fmt.Sprintf("lower(substring(time.weekday([input.now, %q]), 0, 3)) in [%s]", zone, each(n.values, quoted))}
	case "date": // on the calendar and the clock of the zone
		return "input.now", []string{fmt.Sprintf("within(calendar(%q), %s, %s)", zone, numbers(n.after, 6), numbers(cmp.Or(n.before, "9999"), 6))}
	default: // time_of_day
		return "input.now", []string{fmt.Sprintf("within(clock(%q), %s, %s)", zone, numbers(n.after, 3), numbers(cmp.Or(n.before, "24"), 3))}
	}
}

func (n node) text(subject string, fold func(string) string) string {
	one, values := quoted(fold(n.values[0])), each(n.values, func(s string) string { return quoted(fold(s)) })
	return map[string]string{
		"": subject + " == " + one, "is": subject + " == " + one, "not": subject + " != " + one,
		"in": subject + " in [" + values + "]", "not_in": "not " + subject + " in [" + values + "]",
		"contains": "contains(" + subject + ", " + one + ")", "starts_with": "startswith(" + subject + ", " + one + ")",
		"ends_with": "endswith(" + subject + ", " + one + ")",
	}[n.matcher]
}

var digits = regexp.MustCompile(`\d+`)

// numbers turns "2026-03-28T12:00" into an array, which Rego compares from the left; what is not said is zero.
func numbers(text string, n int) string {
	out := digits.FindAllString(text, -1)
	for len(out) < n {
		out = append(out, "0")
	}
	for i := range out {
		if out[i] = strings.TrimLeft(out[i], "0"); out[i] == "" {
			out[i] = "0"
		}
	}
	return "[" + strings.Join(out, ", ") + "]"
}
