package opa

import (
	"fmt"
	"strings"
)

// yaml writes the rules as an operator would, as the policy of one route.
func yaml(rules []rule) string {
	var b strings.Builder
	b.WriteString("clusters:\n  c: {endpoints: [\"127.0.0.1:9\"]}\nroutes:\n- name: r\n  cluster: c\n  authenticate: [api_key]\n  policy:\n")
	for _, r := range rules {
		lead := "  - "
		for _, action := range []struct {
			word   string
			blocks []node
		}{{"allow", r.allow}, {"deny", r.deny}} {
			if len(action.blocks) == 0 {
				continue
			}
			fmt.Fprintf(&b, "%s%s: {%s}\n", lead, action.word, each(action.blocks, entry))
			lead = "    "
		}
	}
	return b.String()
}

func each[T any](list []T, write func(T) string) string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = write(list[i])
	}
	return strings.Join(out, ", ")
}

func quoted(s string) string { return fmt.Sprintf("%q", s) }

func entry(n node) string {
	if n.op != "" {
		return n.op + ": [" + each(n.list, func(n node) string { return "{" + entry(n) + "}" }) + "]"
	}
	return quoted(n.name) + ": " + n.argument()
}

func (n node) argument() string {
	var zone []string
	if n.zone != "" {
		zone = []string{"timezone: " + n.zone}
	}
	switch n.name {
	case "accept", "reject", "authenticated_user":
		return "true"
	case "source_ip":
		return "[" + each(n.values, quoted) + "]"
	case "day_of_week":
		days := quoted(strings.Join(n.values, ","))
		if zone == nil {
			return days
		}
		return "{days: " + days + ", " + zone[0] + "}"
	case "date", "time_of_day":
		for word, bound := range map[string]string{"after": n.after, "before": n.before} {
			if bound != "" {
				zone = append(zone, word+": "+quoted(bound))
			}
		}
		return "{" + strings.Join(zone, ", ") + "}"
	}
	switch n.matcher {
	case "":
		return quoted(n.values[0])
	case "in", "not_in":
		return "{" + n.matcher + ": [" + each(n.values, quoted) + "]}"
	}
	return "{" + n.matcher + ": " + quoted(n.values[0]) + "}"
}
