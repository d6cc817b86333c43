// Package sim is the third driver: a simulated network, clock and scheduler. One
// goroutine, one seed, one order of events: a run that fails is replayed exactly.
//
// The network has what breaks proxies: delay, data split and joined at random, small
// windows, half-close, resets that overtake unread data, accept queues, SYNs that are
// shed, and peers that read late. [Driver] carries handlers over it exactly as the
// real drivers do; [Sock] is the other end, for scripted clients and upstreams.
//
//	net := sim.New(seed)
//	d := net.NewDriver(1, core.Handler)          // engine.Shard over the simulated network
//	ln := net.Listen("proxy:80"); d.Accept(0, ln)
//	c := net.Dial("proxy:80", sim.Events{Data: got})
//	c.Write([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
//	net.Run(time.Minute)                         // until nothing is left to happen, or a minute passed
//
// The kernel is modelled only as far as a proxy can tell: a socket that is closed
// with unread data, or that gets data after its close, answers RST; RST destroys what
// the other side has not read yet. That is harsher than Linux, and on purpose.
package sim
