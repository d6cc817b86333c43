// Package origin is the upstream of the lab: scripted latency, a stream, a WebSocket echo,
// a raw echo, and a ledger of its own in which each request that arrived stands with its ID.
//
//	o, err := origin.Start(origin.Config{Web: "127.0.0.1:0", Raw: "127.0.0.1:0"})
//	defer o.Close()
//	fmt.Println(o.Web(), o.Raw())
//	o.Roll(ctx)            // a new server behind the same sockets; the old one says goodbye
//	n := o.Executed("s-1") // how often a request arrived
//
// Guarantees: it never closes an idle connection by itself, and a roll refuses nothing.
//
// Limits: it says what the clients of bench/lab/load ask for, and no more.
package origin
