package proxy

// Descriptors: an admitted connection needs one for itself and may need one for its
// upstream. Upstream connections that wait for reuse must not take those: there are never
// more upstream connections than limits.max_connections, but for what is being closed, so
// that who is admitted can also be served.

// spareNote asks a loop to give up a pooled upstream connection.
type spareNote struct{}

// upstreamBegins counts an upstream connection that is about to be dialed. If there are as
// many as may be, one that is idle goes: there is one, since no admitted connection needs two.
func (l *loop) upstreamBegins() {
	if l.upstreamsOpen.Add(1) <= int64(l.cfg.MaxConnections) || l.spareOne() {
		return
	}
	l.postOthers(l.sh.Index(), spareNote{}) // nobody knows here which loop has one
}

// mayDial reports whether x may have a new upstream connection. An HTTP/1.1 connection always may have its one. Streams of HTTP/2
// have what is left beside that: one connection carries many, and with an upstream connection each they would take the
// descriptors of others.
func (x *exchange) mayDial() bool {
	l := x.l
	if x.version != http2 || l.upstreamsOpen.Load() < max(1, int64(l.cfg.MaxConnections)-l.open.Load()) {
		return true
	}
	if l.spareOne() {
		return true
	}
	l.postOthers(l.sh.Index(), spareNote{}) // the next one may find room
	return false
}

// noRoom answers a request for which no connection can be made.
func (x *exchange) noRoom() {
	x.reply(response{status: 503, reason: "upstream_limit", text: "too many connections to upstreams are open (limits.max_connections)", fields: retryAfter})
}

func (l *loop) upstreamEnded() { l.upstreamsOpen.Add(-1) }

// spareOne closes the upstream connection that has waited longest for reuse on this loop.
func (l *loop) spareOne() bool {
	u, ok := l.idle.TakeOldest()
	if ok {
		u.ep.Cluster().Unpooled(l.sh.Index(), 1)
		u.close()
		return true
	}
	return l.closeIdleOrigins(func(*upH2) bool { return true }, 1) > 0
}
