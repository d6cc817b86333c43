package policy_test

import (
	"fmt"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/authz/policy"
)

func Example() {
	doc, err := policy.Parse("policy.yaml", []byte(`
clusters: {app: {endpoints: ["127.0.0.1:9000"]}}
routes:
- name: admin
  path: {prefix: /admin}
  cluster: app
  authenticate: [api_key]
  policy: [{allow: {and: [{groups: {has: admins}}]}}]
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	program := policy.Compile(doc).Routes[0]
	req := &authz.Request{Route: "admin", Method: "GET", Path: []byte("/admin")}
	for _, id := range []*authz.Identity{nil, {User: "u-1"}, {User: "u-2", Groups: []string{"admins"}}} {
		d := program.Authorize(id, req)
		fmt.Println(d.Verdict, d.Reason, d.Rule)
	}
	// Output:
	// challenge user-unauthenticated 0
	// deny groups-unauthorized -1
	// allow ok 0
}
