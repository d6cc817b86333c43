// Package enginetest holds every driver to the contract of package engine.
//
// [Run] is the conformance suite: scripted handlers on one side, plain TCP peers on
// the other. [Referee] stands between any driver and any handler, and reports each
// call of either that the contract does not allow; the suite runs behind one, and so
// can every other test and the simulation.
//
//	func TestContract(t *testing.T) {
//		enginetest.Run(t, func(o enginetest.Options) engine.Driver {
//			return portable.New(portable.Config{Shards: o.Shards, Workers: o.Workers})
//		})
//	}
//
//	ref := enginetest.Referee{Fault: t.Errorf}
//	d.Start(ref.Watch(newHandler))           // any driver, any handler
//	d.Close()
//	ref.Final()                              // did every connection have its Closed?
//
// No test waits for a time to pass: each waits for an event, and what must not happen
// is a fault of the referee whenever it happens. Deadlines only end a test that fails.
package enginetest
