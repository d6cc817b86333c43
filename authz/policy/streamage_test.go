package policy

import (
	"strings"
	"testing"
	"time"
)

// max_stream_age is a duration of routes, HTTP and TCP; left out, there is none.
func TestMaxStreamAge(t *testing.T) {
	const text = `
clusters: {app: {endpoints: ["127.0.0.1:9000"]}}
routes:
- {name: a, path: {prefix: /a}, cluster: app, max_stream_age: %}
- {name: b, path: {prefix: /b}, cluster: app}
tcp_routes:
- {listener: db, cluster: app, max_stream_age: %}
`
	doc, err := Parse("p.yaml", []byte(strings.ReplaceAll(text, "%", "1h30m")))
	if err != nil {
		t.Fatal(err)
	}
	if a, b, db := doc.Routes[0].MaxStreamAge, doc.Routes[1].MaxStreamAge, doc.TCPRoutes[0].MaxStreamAge; a != 90*time.Minute || b != 0 || db != a {
		t.Errorf("%v, %v and %v", a, b, db)
	}
	for _, bad := range []string{"90", "-1s", "soon"} {
		if _, err := Parse("p.yaml", []byte(strings.ReplaceAll(text, "%", bad))); err == nil || !strings.Contains(err.Error(), "p.yaml:4:") || !strings.Contains(err.Error(), "p.yaml:7:") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
