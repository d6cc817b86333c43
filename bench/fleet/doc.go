// Package fleet says on paper what a large fleet costs its store, and how soon a change of the policy is in force: a
// simulation of events in virtual time, with constants that are measured or stated, each with its source.
//
//	r := fleet.Simulate(fleet.Model{Replicas: 1000, Routes: 100_000, Objects: 600, Every: time.Second, Recall: true})
//	fmt.Println(r.BytesPerSecond, r.InForce99)
//
// It has no network and no etcd in it: the store is a pipe of a given width and an answer time, replicas are what
// authz/policysync does (a hint, a linearizable read of the head, the objects, parse and compile, and once more if a hint came
// meanwhile). What it leaves out makes reality slower: elections, disks, lost packets, other users of the store.
//
// `FIGURES=1 go test ./bench/fleet -run TestFigures -v` measures the constants of this machine and prints the table of docs/fleet.md.
package fleet
