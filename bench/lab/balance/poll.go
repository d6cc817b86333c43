package balance

import (
	"io"
	"net/http"
	"time"
)

// poll asks a backend again and again, on a connection each, and lets each change of its
// answer take effect a propagation later.
func (b *Balancer) poll(be *backend) {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, Proxy: nil}}
	tick := time.NewTicker(b.cfg.Poll)
	defer tick.Stop()
	was := false
	for {
		if now := ready(&client, be.Ready); now != was {
			was = now
			b.mu.Lock()
			if !b.closed {
				b.running.Go(func() { b.learn(be, now, be.gone) }) // ends after the propagation
			}
			b.mu.Unlock()
		}
		select {
		case <-tick.C:
		case <-be.gone:
			return
		case <-b.quit:
			return
		}
	}
}

func ready(client *http.Client, url string) bool {
	resp, err := client.Get(url)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
