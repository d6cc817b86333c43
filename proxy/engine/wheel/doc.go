// Package wheel is the timer wheel of a loop: arming, moving and disarming cost a
// few pointer writes and allocate nothing, whatever the number of timers.
//
// It has no clock and no goroutine: the driver tells it the time. It is coarse: a
// timer fires up to one tick late and never early, which is what timeouts need.
//
//	var w wheel.Wheel                         // zero value: 16 ms ticks
//	w.Arm(&conn.timer, now, 5*time.Second)    // conn.timer is a wheel.Node
//	if next, ok := w.Next(); ok { sleepUntil(next) }
//	for n := w.Pop(now); n != nil; n = w.Pop(now) { fire(n) }
package wheel
