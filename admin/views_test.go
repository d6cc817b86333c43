package admin

import (
	"testing"

	"github.com/sluiceproxy/sluice/proxy"
	"github.com/sluiceproxy/sluice/proxy/upstream"
)

// The status names who gets no requests, and why; a large outage stays readable.
func TestStatusNamesEndpointsThatAreOut(t *testing.T) {
	s := proxy.Stats{Clusters: []proxy.ClusterStats{{Cluster: "c", Waiting: 4}}}
	for i := range 3 * maxOut {
		s.Upstreams = append(s.Upstreams, proxy.EndpointStats{Cluster: "c", Endpoint: "e", State: upstream.State(i % 3)})
	}
	u := upstreamsOf(s)
	if u.Endpoints != 3*maxOut || u.Healthy != maxOut || len(u.Out) != maxOut || u.Waiting != 4 {
		t.Errorf("%d of %d healthy, %d named, %d wait", u.Healthy, u.Endpoints, len(u.Out), u.Waiting)
	}
	if u.Out[0] != (OutItem{"c", "e", "ejected"}) || u.Out[1].State != "unhealthy" {
		t.Errorf("named %+v", u.Out[:2])
	}
}
