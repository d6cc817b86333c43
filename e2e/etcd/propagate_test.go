package etcd

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// From publish to in force on 20 replicas under a light load, beside a bare watch of etcd in this process at the same publications: the ratio is
// reported, and no request fails.
func TestPropagation(t *testing.T) {
	const fleet, publications = 20, 20
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }))
	t.Cleanup(up.Close)
	e := startEnsemble(t, 0)
	p := newPublisher(t, e, strings.TrimPrefix(up.URL, "http://"))
	p.publish(t)
	var replicas []*replica
	for i := range fleet {
		r := startReplica(t, fmt.Sprint("replica ", i), e.endpoints(), p.keys)
		r.load(t, 200*time.Millisecond)
		replicas = append(replicas, r)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	watch := e.open(t).Watch(clientv3.WithRequireLeader(ctx), "/sluice/head", clientv3.WithCreatedNotify())
	if r := <-watch; !r.Created {
		t.Fatalf("%+v", r)
	}
	var bare, each, last []time.Duration
	for range publications {
		time.Sleep(200 * time.Millisecond) // the pace of this publisher: a replica takes a change at once if there was none for 100 ms
		began := time.Now()
		hash := p.publish(t)
		if r := <-watch; len(r.Events) == 0 {
			t.Fatalf("%+v", r)
		}
		bare = append(bare, time.Since(began))
		var slowest time.Duration
		for _, r := range replicas {
			r.await(t, "version in force", func(m map[string]any) bool { return m["msg"] == "policy in force" && m["hash"] == hash })
			r.mu.Lock()
			took := r.inForce[hash].Sub(began)
			r.mu.Unlock()
			each, slowest = append(each, took), max(slowest, took)
		}
		last = append(last, slowest)
	}
	p.converged(t, replicas)
	served := 0
	for _, r := range replicas {
		r.mu.Lock()
		served += r.served
		r.mu.Unlock()
	}
	p.judge(t, replicas)
	var report strings.Builder
	fmt.Fprintf(&report, "%d publications, %d replicas, %d requests and probes meanwhile, 0 failed. A publication each 200 ms after the last one was in force everywhere; times from before it (object, head, both written here) on.\n\n| | median | 90%% |\n|---|---|---|\n", publications, fleet, served)
	for _, row := range []struct {
		what string
		of   []time.Duration
	}{{"a bare watch of etcd hears of it", bare}, {"in force on a replica", each}, {"in force on all", last}} {
		slices.Sort(row.of)
		fmt.Fprintf(&report, "| %s | %.1f ms | %.1f ms |\n", row.what, ms(at(row.of, 50)), ms(at(row.of, 90)))
	}
	fmt.Fprintf(&report, "\nRatio to the bare watch, medians: %.1f on a replica, %.1f on all.\n", ms(at(each, 50))/ms(at(bare, 50)), ms(at(last, 50))/ms(at(bare, 50)))
	keep(t, "Publish to in force", report.String())
}

func at(sorted []time.Duration, percent int) time.Duration {
	return sorted[(len(sorted)-1)*percent/100]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
