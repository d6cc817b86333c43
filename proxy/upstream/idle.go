package upstream

import "time"

// Idle is the pool of one shard: connections that wait for reuse, newest first, so
// that few stay warm and the others age out. The zero Idle is empty. Owned by its loop.
type Idle[C comparable] struct {
	byEndpoint map[*Endpoint][]waiting[C]
	n          int
}

type waiting[C comparable] struct {
	conn    C
	expires time.Time
}

// Take removes and returns the newest connection to e that has not expired at now.
func (p *Idle[C]) Take(e *Endpoint, now time.Time) (C, bool) {
	list := p.byEndpoint[e]
	if n := len(list); n > 0 && now.Before(list[n-1].expires) {
		w := list[n-1]
		list[n-1] = waiting[C]{}
		p.byEndpoint[e] = list[:n-1]
		p.n--
		return w.conn, true
	}
	var none C
	return none, false
}

// Put adds a connection. False: the pool is full, the endpoint is gone or pooling is
// off; then the caller closes it.
func (p *Idle[C]) Put(e *Endpoint, c C, expires time.Time) bool {
	list := p.byEndpoint[e]
	if e.Gone() || len(list) >= e.cluster.Config().MaxIdle {
		return false
	}
	if p.byEndpoint == nil {
		p.byEndpoint = map[*Endpoint][]waiting[C]{}
	}
	p.byEndpoint[e] = append(list, waiting[C]{c, expires})
	p.n++
	return true
}

// TakeOldest removes and returns the connection that expires first, whoever its endpoint
// is: for when there are too many.
func (p *Idle[C]) TakeOldest() (C, bool) {
	var first *Endpoint
	for e, list := range p.byEndpoint {
		if len(list) == 0 {
			continue
		}
		if first == nil || list[0].expires.Before(p.byEndpoint[first][0].expires) ||
			list[0].expires.Equal(p.byEndpoint[first][0].expires) && e.Addr < first.Addr {
			first = e
		}
	}
	if first == nil {
		var none C
		return none, false
	}
	c := p.byEndpoint[first][0].conn
	p.Remove(first, c)
	return c, true
}

// Remove takes out one connection, because it closed. False if it is not there.
func (p *Idle[C]) Remove(e *Endpoint, c C) bool {
	list := p.byEndpoint[e]
	for i := range list {
		if list[i].conn == c {
			copy(list[i:], list[i+1:])
			list[len(list)-1] = waiting[C]{}
			p.byEndpoint[e] = list[:len(list)-1]
			p.n--
			return true
		}
	}
	return false
}

// Sweep removes every connection of an endpoint that is gone and returns them, for the caller to close.
func (p *Idle[C]) Sweep() (gone []C) {
	for e, list := range p.byEndpoint {
		if !e.Gone() {
			continue
		}
		for _, w := range list {
			gone = append(gone, w.conn)
		}
		p.n -= len(list)
		delete(p.byEndpoint, e)
	}
	return gone
}

// TakeAny removes and returns the oldest connection to some endpoint of c, for the caller
// to close.
func (p *Idle[C]) TakeAny(c *Cluster) (C, bool) {
	for _, e := range c.Endpoints() {
		if list := p.byEndpoint[e]; len(list) > 0 {
			w := list[0]
			p.Remove(e, w.conn)
			return w.conn, true
		}
	}
	var none C
	return none, false
}

// Count is the number of pooled connections to the endpoints of c.
func (p *Idle[C]) Count(c *Cluster) (n int) {
	for _, e := range c.Endpoints() {
		n += len(p.byEndpoint[e])
	}
	return n
}

// Len is the number of pooled connections.
func (p *Idle[C]) Len() int { return p.n }
