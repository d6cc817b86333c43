// Package plan restarts replicas under load: one after the other, all at once, in place, by
// kill -9, and so on; and proves that each restart happened.
//
//	w := plan.New(plan.Config{Launcher: l, Settings: s, Balancer: b, Origin: o, Dir: dir})
//	defer w.Close()
//	err := w.Begin(ctx, 2)                    // two replicas, ready and in
//	restarts, err := w.Play(ctx, plan.Surge)
//
// Guarantees: a restart is proven only if the process that answers afterwards is another
// one, the old one is gone, and the new one has carried a connection. Close leaves no process.
package plan
