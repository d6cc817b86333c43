// Package balance is the lab's balancer at layer 4. It asks each backend whether it is
// ready and sends new connections only to those that are, in turns; what it learns takes
// effect a propagation delay later, as in any fleet whose balancers are told by somebody.
//
//	b := balance.New(balance.Config{Poll: 50 * time.Millisecond, Propagation: 300 * time.Millisecond})
//	defer b.Close()
//	web, err := b.Open("127.0.0.1:0", balance.Web)
//	b.Add(balance.Backend{Name: "a.1", Web: "127.0.0.1:8080", Ready: "http://127.0.0.1:9902/readyz"})
//	b.Gone("a.1")
//
// Guarantees: it never tries twice, and carries ends as what they were: FIN as FIN, a reset
// as a reset. A client whose backend refused is reset, and Route says why.
//
// Limits: a blind balancer (Config.Blind) asks nobody: a backend is in from Add to Gone.
package balance
