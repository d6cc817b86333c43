package replica

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// AwaitReady asks until a replica says that it is ready.
func AwaitReady(ctx context.Context, in Instance) error {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, in.Ready(), nil)
		if err != nil {
			return err
		}
		last := "no answer"
		if resp, err := client.Do(req); err == nil {
			body, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK && !in.Ended() { // and not somebody else's answer
				in.Timeline().Enter(Ready, time.Now())
				return nil
			}
			last = fmt.Sprintf("%d %s", resp.StatusCode, body)
		}
		if in.Ended() {
			return fmt.Errorf("it ended before it was ready; its log ends: %s", in.Tail())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("it did not become ready (%s): %w; its log ends: %s", last, context.Cause(ctx), in.Tail())
		}
	}
}
