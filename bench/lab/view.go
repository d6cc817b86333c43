package lab

import (
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/record"
	"github.com/sluiceproxy/sluice/bench/lab/replica"
)

// View is how things stand at one moment of a run.
type View struct {
	At       time.Duration // since the load began
	Now      record.Now
	Open     int // connections of clients
	Replicas []ReplicaView
}

// ReplicaView is a replica in it.
type ReplicaView struct {
	Name        string
	Phase       replica.Phase
	Since       time.Duration
	Connections int
}

func (s *stage) view() View {
	now := time.Now()
	v := View{At: now.Sub(s.recorder.Load().Start()), Now: s.recorder.Load().Now(), Open: s.generator.Open()}
	open := map[string]int{}
	if s.balancer != nil {
		open = s.balancer.Connections()
	}
	for _, m := range s.world.Members() {
		t := m.Instance.Timeline()
		r := ReplicaView{Name: m.Name, Phase: t.At(now), Connections: open[m.Name]}
		if since, ok := t.Since(r.Phase); ok {
			r.Since = now.Sub(since)
		}
		v.Replicas = append(v.Replicas, r)
	}
	return v
}
