// Package etcd tests Sluice against real servers of etcd: three processes (member), whose traffic among each other and with
// the replicas goes through relays that can be cut and slowed. It is a module of its own, because the servers bring a hundred
// others. Run it by `make heavy`; what CI runs is the same suites on the store in memory (internal/etcd/etcdtest).
package etcd
