package policy

import (
	"fmt"
	"strings"
	"testing"
)

func TestClusterTLS(t *testing.T) {
	doc, err := Parse("p.yaml", []byte(`clusters:
  plain: {endpoints: ["a:1"]}
  short: {endpoints: ["a:1"], tls: internal}
  long: {endpoints: ["a:1"], tls: {profile: public, server_name: "2001:db8::1"}}
`))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []*ClusterTLS{nil, {Profile: "internal"}, {Profile: "public", ServerName: "2001:db8::1"}} {
		if got := doc.Clusters[i].TLS; (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%s: %+v, want %+v", doc.Clusters[i].Name, got, want)
		}
	}
	if err := doc.CheckProfiles([]string{"internal", "public"}); err != nil {
		t.Error(err)
	}
	err = doc.CheckProfiles([]string{"internals"})
	for _, want := range []string{`3:10 error [unknown-name] cluster "short": there is no profile "internal" (upstream_tls); did you mean "internals"?`, `cluster "long": there is no profile "public"`} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
}
