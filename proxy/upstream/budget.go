package upstream

import (
	"sync"
	"time"
)

// budgetWindow is over which requests and retries are held against each other.
const budgetWindow = 10 * time.Second

// minRetries are granted for each second of the window, however little traffic there is.
const minRetries = 3

// budget bounds the requests that are sent a second time, so that retries do not finish
// an upstream that is failing: in a sliding window at most a share of its requests, and
// some besides. It costs nothing until it is asked: the requests are counted anyway.
type budget struct {
	mu       sync.Mutex // guards what follows
	began    time.Time  // of the current part of the window; zero: never asked
	requests uint64     // of the cluster by then
	spent    float64    // retries of this part
	before   struct{ requests, spent float64 }

	sent, refused uint64
}

// MayRetry takes a retry from the budget; false: it is used up.
func (c *Cluster) MayRetry(now time.Time) bool {
	v := c.now.Load()
	total := uint64(0)
	for _, e := range v.endpoints {
		total += e.Requests.Load()
	}
	b := &c.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slide(now, total)
	old := 1 - float64(now.Sub(b.began))/float64(budgetWindow) // share of the part before that is still in the window
	may := minRetries*budgetWindow.Seconds() + float64(v.cfg.RetryPercent)/100*(old*b.before.requests+b.since(total))
	if v.cfg.RetryPercent < 0 || old*b.before.spent+b.spent+1 > may {
		b.refused++
		return false
	}
	b.spent++
	b.sent++
	return true
}

// slide begins a new part once the current one is as long as the window. Of one that
// lasted longer the requests count by their average.
func (b *budget) slide(now time.Time, total uint64) {
	lasted := now.Sub(b.began)
	if !b.began.IsZero() && lasted < budgetWindow {
		return
	}
	b.before.requests, b.before.spent = b.since(total), 0
	if !b.began.IsZero() {
		parts := float64(lasted) / float64(budgetWindow) // at least one
		b.before.requests /= parts
		b.before.spent = b.spent * max(0, 2-parts) // all of it was spent in the first
	}
	b.began, b.requests, b.spent = now, total, 0
}

// since is how many requests came; endpoints that left the policy took theirs along.
func (b *budget) since(total uint64) float64 {
	if total < b.requests {
		return 0
	}
	return float64(total - b.requests)
}

// Retries are the requests that were sent again, and those that the budget kept back.
func (c *Cluster) Retries() (sent, refused uint64) {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	return c.budget.sent, c.budget.refused
}
