//go:build linux

package epoll

import "github.com/sluiceproxy/sluice/proxy/engine"

// Ask implements engine.Shard.
func (l *loop) Ask(id engine.ConnID, fn func() any) bool {
	c := l.conn(id)
	if c == nil || c.asked || c.phase == ended {
		return false
	}
	select {
	case l.workers <- struct{}{}:
	default:
		return false
	}
	l.d.wg.Add(1)
	go l.answer(id, fn) // bounded in time by fn itself
	return true
}

func (l *loop) answer(id engine.ConnID, fn func() any) {
	defer l.d.wg.Done()
	l.post(answerNote{id, fn()})
}
