// Package tunnel decides what happens to bytes that go both ways between two sides:
// raw TCP, and what follows an Upgrade. It has no socket, clock or goroutine; it never
// sees the bytes, only how many there were.
//
//	var t tunnel.Tunnel
//	do(t.Start(tunnel.Config{}, now))                // Arm(1h)
//	shard.Send(up, b)                                // on bytes from downstream
//	do(t.Bytes(tunnel.Downstream, len(b), shard.Queued(up), now))
//	do(t.EOF(tunnel.Downstream, now))                // CloseWrite(Upstream), Arm(5m)
//	do(t.EOF(tunnel.Upstream, now))                  // CloseWrite(Downstream), Finish(Completed)
//
//	do := func(actions tunnel.Actions) { for a := range actions.All() { ... } }
//
// Guarantees: an end of one direction is passed on and never ends the other one; what
// arrived is delivered before the tunnel ends, whoever ended it, within the timeouts; a
// slow reader stops the other side's writer at a bounded queue; Finish comes exactly
// once and nothing after it. Only [Tunnel.Evict], [Tunnel.Leave] and the timeouts end a tunnel
// that neither side has ended.
package tunnel
