package policy

import (
	"strings"
	"testing"
	"time"
)

func TestDrainClasses(t *testing.T) {
	text := func(http, tcp string) string {
		return "clusters: {app: {endpoints: [\"127.0.0.1:9000\"]}}\nroutes:\n- {name: r, cluster: app" + http + "}\ntcp_routes:\n- {listener: db, cluster: app" + tcp + "}\n"
	}
	for _, c := range []struct {
		http, tcp   string
		want, want2 *Drain
		fault       string
	}{
		{"", "", nil, nil, ""},
		{", drain: {}", "", &Drain{}, nil, ""},
		{", drain: {notice: off, deadline: 5s, order: last}", ", drain: {deadline: 1m, order: first}",
			&Drain{Notice: Notice{Off: true}, Deadline: 5 * time.Second, Order: "last"}, &Drain{Deadline: time.Minute, Order: "first"}, ""},
		{", drain: {close_at: start, close_code: 1012}", "", &Drain{CloseAt: "start", CloseCode: 1012}, nil, ""},
		{", drain: {close_at: soon}", "", nil, nil, `3:45 routes[0].drain.close_at: "soon" is not one of: deadline, start`},
		{", drain: {event_stream: end}", ", drain: {event_stream: retry}", &Drain{EventStream: "end"}, &Drain{EventStream: "retry"}, ""},
		{", drain: {event_stream: cut}", "", nil, nil, `3:49 routes[0].drain.event_stream: "cut" is not one of: none, retry, end`},
		{", drain: {close_code: 1000}", "", nil, nil, `3:47 routes[0].drain.close_code: must be 1001 (going away) or 1012 (service restart)`},
		{`, drain: {notice: "off"}`, "", &Drain{Notice: Notice{Off: true}}, nil, ""},
		{", drain: {notice: 0s}", "", &Drain{Notice: Notice{Given: true}}, nil, ""},
		{", drain: {notice: 4s}", "", &Drain{Notice: Notice{Given: true, After: 4 * time.Second}}, nil, ""},
		{", drain: {notice: on}", "", nil, nil, `3:43 routes[0].drain.notice: "on" is not a duration`},
		{", drain: {notice: -1s}", "", nil, nil, `3:43 routes[0].drain.notice: "-1s" is negative`},
		{", drain: {deadline: 0s}", "", nil, nil, `3:45 routes[0].drain.deadline: must be positive; leave it out for the deadline of the drain`},
		{", drain: {deadline: 5}", "", nil, nil, `3:45 routes[0].drain.deadline: number 5 needs a unit`},
		{", drain: {order: middle}", "", nil, nil, `3:42 routes[0].drain.order: "middle" is not one of: first, last`},
		{", drain: {ordr: first}", "", nil, nil, `3:35 unknown key "ordr" in routes[0].drain; did you mean "order"?`},
		{", drain: first", "", nil, nil, `3:34 routes[0].drain: "first" where a mapping is expected`},
		{"", ", drain: {notice: 1s}", nil, nil, `5:3 route "db": drain.notice is for HTTP`},
	} {
		doc, err := Parse("policy.yaml", []byte(text(c.http, c.tcp)))
		if c.fault != "" {
			if err == nil || !strings.Contains(coded.ReplaceAllString(err.Error(), " "), c.fault) {
				t.Errorf("%s%s: got %v, want %s", c.http, c.tcp, err, c.fault)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s%s: %v", c.http, c.tcp, err)
			continue
		}
		for i, pair := range [][2]*Drain{{doc.Routes[0].Drain, c.want}, {doc.TCPRoutes[0].Drain, c.want2}} {
			if got, want := pair[0], pair[1]; (got == nil) != (want == nil) || got != nil && *got != *want {
				t.Errorf("%s%s, %d: %+v, want %+v", c.http, c.tcp, i, got, want)
			}
		}
	}
}
