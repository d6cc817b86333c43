package route_test

import (
	"fmt"

	"github.com/sluiceproxy/sluice/proxy/route"
)

func Example() {
	t, err := route.Compile([]route.Spec{
		{Name: "app", Hosts: []string{"app.example.com"}},
		{Name: "admin", Hosts: []string{"app.example.com"}, Path: route.PathSpec{Prefix: "/admin/"}, Methods: []string{"GET"}},
	})
	if err != nil {
		panic(err)
	}
	host, port, _ := route.NormalizeHost(nil, []byte("App.Example.com.:443"))
	path, _ := route.Normalize(nil, []byte("/x/../%61dmin//users"), route.PathOptions{})
	i, outcome := t.Match(host, path, "GET")
	fmt.Println(string(host), port, string(path), i, outcome)
	i, outcome = t.Match(host, path, "POST")
	fmt.Println(outcome, t.Allow(i))
	// Output:
	// app.example.com 443 /admin/users 1 found
	// method not allowed GET
}
