package upstream_test

import (
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/proxy/upstream"
)

func retries(c *upstream.Cluster, now time.Time, asked int) (granted int) {
	for range asked {
		if c.MayRetry(now) {
			granted++
		}
	}
	return granted
}

func TestRetryBudget(t *testing.T) {
	c := cluster(upstream.Config{Endpoints: []string{"a:1", "b:1"}})
	a := c.Endpoints()[0]
	if got := retries(c, start, 100); got != 30 {
		t.Errorf("%d retries without traffic, want 3 for each second of the window", got)
	}
	a.Requests.Add(1000)
	if got := retries(c, after(time.Second), 1000); got != 200 {
		t.Errorf("%d retries of 1000 requests, want a fifth", got)
	}
	// Half of the part before has left the window.
	if got := retries(c, after(15*time.Second), 1000); got < 1 || got > 60 {
		t.Errorf("%d retries while the window slides", got)
	}
	if got := retries(c, after(time.Minute), 1000); got < 30 || got > 60 {
		t.Errorf("%d retries after a quiet minute", got)
	}
	if sent, refused := c.Retries(); sent == 0 || refused == 0 {
		t.Errorf("counted %d sent and %d refused", sent, refused)
	}
	c = cluster(upstream.Config{Endpoints: []string{"a:1"}, RetryPercent: -1})
	if retries(c, start, 1) != 0 {
		t.Error("a retry although they are off")
	}
}

// Whatever comes: over any stretch no more than the share and the grant, with one
// window's worth of saving.
func TestRetryBudgetHoldsOverTime(t *testing.T) {
	c := cluster(upstream.Config{Endpoints: []string{"a:1"}, RetryPercent: 10})
	granted := 0
	for ms := 0; ms < 120_000; ms += 100 {
		c.Endpoints()[0].Requests.Add(10) // 100/s
		granted += retries(c, after(time.Duration(ms)*time.Millisecond), 10)
	}
	// 120 s of 100/s at 10 % and 3/s; the grant of one window more.
	if want := 120*(10+3) + 30; granted > want+130 || granted < want-200 {
		t.Errorf("%d retries in two minutes, want about %d", granted, want)
	}
}
