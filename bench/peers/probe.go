//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/bench/peers/body"
	"github.com/sluiceproxy/sluice/bench/peers/load"
)

// startup bounds how long a proxy may take until it answers: 100,000 routes take a while
// on a busy machine.
const startup = time.Minute

// proves waits until a proxy serves what the load will ask for, and checks the SHA-256
// sum of one answer by a client that shares no code with the load.
func proves(ctx context.Context, proxy *process, cfg load.Config) error {
	ctx, cancel := context.WithTimeout(ctx, startup)
	defer cancel()
	pattern := body.Pattern()
	try := probeHTTP
	switch cfg.Mode {
	case load.Echo:
		try = probeEcho
	case load.Bulk:
		try = probeBulk
	case load.KeepAlive, load.Paced, load.Churn, load.Idle:
	}
	for {
		err := try(ctx, cfg, pattern)
		if err == nil || errors.Is(err, errWrong) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; last: %w", context.Cause(ctx), err)
		case <-proxy.exited:
			return errors.New("it ended")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// errWrong: the proxy answers, but not what the origin sent. No reason to try again.
var errWrong = errors.New("the wrong body")

func probeHTTP(ctx context.Context, cfg load.Config, pattern []byte) error {
	id := body.NewID(uint64(time.Now().UnixNano()))
	host, prefix := "bench.example.com", "app"
	if cfg.Routes > 0 {
		host, prefix = "h0.example.com", "r0"
	}
	method, want, payload := http.MethodGet, cfg.Size, io.Reader(http.NoBody)
	if cfg.Upload {
		method, want = http.MethodPost, 64
		payload = bytes.NewReader(append(append([]byte{}, id[:]...), pattern[body.IDLen:cfg.Size]...))
	}
	req, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("http://%s/%s/%d/%s", cfg.Addr, prefix, cfg.Size, id[:]), payload)
	if err != nil {
		return err
	}
	req.Host, req.Close = host, true
	req.Header.Set("X-Api-Key", cfg.Key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(io.LimitReader(resp.Body, body.Max+1))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %.120q", resp.Status, got)
	}
	return sumIs(got, body.Sum(pattern, id, want))
}

func sumIs(got []byte, want [sha256.Size]byte) error {
	if sum := sha256.Sum256(got); sum != want {
		return fmt.Errorf("%w: %d bytes, SHA-256 %x, want %x", errWrong, len(got), sum, want)
	}
	return nil
}

func dialOnce(ctx context.Context, cfg load.Config, say []byte, n int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp4", cfg.Addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	if at, ok := ctx.Deadline(); ok {
		_ = c.SetDeadline(at)
	}
	if _, err := c.Write(say); err != nil {
		return nil, err
	}
	got := make([]byte, n)
	_, err = io.ReadFull(c, got)
	return got, err
}

func probeEcho(ctx context.Context, cfg load.Config, pattern []byte) error {
	id := body.NewID(uint64(time.Now().UnixNano()))
	got, err := dialOnce(ctx, cfg, append(append([]byte{}, id[:]...), pattern[body.IDLen:cfg.Size]...), cfg.Size)
	if err != nil {
		return err
	}
	return sumIs(got, body.Sum(pattern, id, cfg.Size))
}

func probeBulk(ctx context.Context, cfg load.Config, pattern []byte) error {
	order := body.NewID(body.Max)
	got, err := dialOnce(ctx, cfg, order[:], body.Max)
	if err != nil {
		return err
	}
	return sumIs(got, sha256.Sum256(pattern))
}

// allocated is how many heap objects sluice has allocated until now; -1: it does not tell.
func allocated(ctx context.Context, e entrant, s setting) float64 {
	return metric(ctx, e, s, "go_memstats_mallocs_total")
}

// inUse is what sluice's heap and stacks occupy; -1: it does not tell.
func inUse(ctx context.Context, e entrant, s setting) float64 {
	heap := metric(ctx, e, s, "go_memstats_heap_inuse_bytes")
	stacks := metric(ctx, e, s, "go_memstats_stack_inuse_bytes")
	if heap < 0 || stacks < 0 {
		return -1
	}
	return heap + stacks
}

func metric(ctx context.Context, e entrant, s setting, name string) float64 {
	if e.peer != us {
		return -1
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", s.Probes), nil)
	if err != nil {
		return -1
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return -1
	}
	defer func() { _ = resp.Body.Close() }()
	return find(resp.Body, name)
}

// find reads one metric without labels from the text format; -1 if it is not there.
func find(text io.Reader, name string) float64 {
	lines := bufio.NewScanner(text)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				return v
			}
		}
	}
	return -1
}
