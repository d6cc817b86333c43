//go:build linux

package epoll

import "github.com/sluiceproxy/sluice/proxy/engine"

type move struct{ held int }

type pipes struct{}

func (p *pipes) release() {}

func (l *loop) pump(m *move) {}

func (l *loop) endMoves(c *conn) {}

// Move implements engine.Shard.
func (l *loop) Move(dst, src engine.ConnID, n int64) bool { return false }
