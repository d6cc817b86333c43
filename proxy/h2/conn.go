package h2

import "time"

// Conn is one HTTP/2 connection without its bytes' way: what comes goes into Receive, what is to
// leave comes out of Append. It is used by one goroutine at a time and calls [Events] from within
// Receive and Append. Events may call every method but these two and Release.
type Conn struct {
	cfg  Config
	ev   Events
	pool *Pool
	err  *ConnError // the end: nothing is read any more

	// What is being read.
	f        frame // the frame whose payload comes
	reading  reading
	first    bool // the next frame is the first, which must be SETTINGS
	have     uint8
	begun    uint32 // frames, a header block as one
	header   [headerLen]byte
	part     []byte // a payload that is not whole yet; from the pool
	data     *Stream
	dataLeft int
	padLeft  int

	// A header block that is not whole yet, RFC 9113 section 4.3.
	block      []byte // from the pool
	blockFrame frame  // its HEADERS frame
	blockSelf  bool   // which depends on itself
	pieces     int    // CONTINUATION frames so far
	empty      int    // those without a byte
	inBlock    bool

	dec *decoder // made with the first head that comes
	enc *encoder // made with the first head that leaves, or the first change of its table

	// Streams. ids[i] is the ID of open[i]: looked through for each frame, so it is dense.
	ids        []uint32
	open       []*Stream
	lastPeer   uint32 // the highest stream that the peer opened
	nextLocal  uint32 // of a client: the next stream
	closed     closedStreams
	ready      streamList // streams with queued data and a window
	ending     []ending   // streams whose end is in out
	noticed    bool       // Notice was called
	left       bool       // Leave was called
	leftAt     uint32     // streams above are ignored
	peerLeft   bool       // the peer sent GOAWAY
	peerLeftAt uint32

	// What is to be sent before any data: frames in order, from the pool.
	out  []byte
	owed int // bytes in out that the peer provoked

	// Flow control, RFC 9113 section 5.2.
	recv        int32 // bytes that the peer may still send
	recvBack    int32 // bytes to give back with the next WINDOW_UPDATE
	updateDue   bool  // which leaves with the next Append
	send        int32 // bytes that we may still send
	streamRecv  int32 // the window that a new stream gives
	streamSend  int32 // the window that a new stream gets
	peerStreams uint32
	peerTable   uint32 // the HPACK table that the peer allows
	peerConnect bool   // the peer takes :protocol
	peerKnown   bool   // SETTINGS of the peer came
	acked       bool   // our SETTINGS are in force
	noticePing  bool   // a PING is out
	alivePing   bool

	now      time.Duration // of the last Receive
	clocked  bool
	refilled time.Duration
	control  bucket
	resets   bucket
	dribble  bucket
}

// reading says what the next byte is.
type reading uint8

const (
	readPreface reading = iota
	readHeader
	readPayload
	readPad // the Pad Length of DATA
	readData
	readSkip // the payload of an unknown frame
)

// New returns a connection whose first frames are queued already.
func New(cfg Config, ev Events) *Conn {
	cfg = cfg.orDefaults()
	c := &Conn{cfg: cfg, ev: ev, pool: cfg.Pool, first: true, reading: readPreface}
	c.control.fill(cfg.Floods.Control)
	c.resets.fill(cfg.Floods.Resets)
	c.dribble.fill(cfg.Floods.Dribble)
	c.recv, c.send = int32(cfg.ConnWindow), firstWindow
	// Until the peer knows our SETTINGS it may send as much as the RFC's default to a stream.
	c.streamRecv, c.streamSend = int32(max(cfg.StreamWindow, firstWindow)), firstWindow
	c.peerTable = defaultTable
	c.peerStreams = maxStreamID
	c.out = c.pool.buffer()
	if cfg.Client {
		c.reading, c.nextLocal, c.peerStreams = readHeader, 1, earlyStreams
		c.out = append(c.out, clientOpens...)
	}
	c.out = c.appendSettings(c.out)
	if more := cfg.ConnWindow - firstWindow; more > 0 {
		c.out = appendWord(c.out, frameWindow, 0, uint32(more))
	}
	return c
}

// Ready reports whether the peer's preface and its first SETTINGS came. A peer that begins and goes no further is for the
// caller to bound.
func (c *Conn) Ready() bool { return c.peerKnown }

// Partial reports whether a header block, or a frame other than DATA, has begun and is not whole. A peer that leaves it at
// that is for the caller to bound, as it bounds a slow head in HTTP/1.1.
func (c *Conn) Partial() bool {
	return c.inBlock || c.have > 0 || c.reading == readPayload
}

// Begun counts the frames that have begun, a header block as one; it wraps. Where it has changed, what is partial now is not what was
// partial before.
func (c *Conn) Begun() uint32 { return c.begun }

// Err is the error that ended the connection, nil before.
func (c *Conn) Err() *ConnError { return c.err }

// Streams is the number of open streams. A stream is open until its Done or Reset.
func (c *Conn) Streams() int { return len(c.open) }

// Each calls f for each open stream, which f may reset.
func (c *Conn) Each(f func(*Stream)) {
	for i := len(c.open) - 1; i >= 0; i-- {
		if i < len(c.open) { // f may close more than one
			f(c.open[i])
		}
	}
}

// Release gives all memory back to the pool. It is the last call; every *Stream is dead.
func (c *Conn) Release() {
	for _, s := range c.open {
		c.pool.putStream(s)
	}
	c.open, c.ids, c.ending = nil, nil, nil
	c.ready = streamList{}
	for _, b := range []*[]byte{&c.part, &c.block, &c.out} {
		c.pool.putBuffer(*b)
		*b = nil
	}
	c.dec, c.enc = nil, nil
	if c.err == nil {
		c.err = &ConnError{Code: NoError, Reason: Aborted, Detail: "the connection was released"}
	}
}

// Abort ends the connection for a reason of the caller's own: GOAWAY with the code, and nothing is read or
// sent any more.
func (c *Conn) Abort(code ErrorCode) { c.fail(code, Aborted, "the connection was aborted") }

// fail ends the connection, RFC 9113 section 5.4.1. What was queued of data is not sent.
func (c *Conn) fail(code ErrorCode, reason Reason, detail string) {
	if c.err != nil {
		return
	}
	c.err = &ConnError{Code: code, Reason: reason, Detail: detail}
	c.queue(appendGoAway(c.outgoing(), c.lastProcessed(), code, string(reason)))
}

// outgoing is the buffer of frames that leave before data. Who appends to it hands it to queue.
func (c *Conn) outgoing() []byte {
	if c.out == nil {
		c.out = c.pool.buffer()
	}
	return c.out
}

func (c *Conn) queue(out []byte) { c.out = out }

// lookup finds an open stream, the newest first.
func (c *Conn) lookup(id uint32) *Stream {
	for i := len(c.ids) - 1; i >= 0; i-- {
		if c.ids[i] == id {
			return c.open[i]
		}
	}
	return nil
}

// alive reports whether s is still the stream that it was before an event was called.
func (c *Conn) alive(s *Stream, id uint32) bool { return s.c == c && s.id == id }

// idle reports whether the stream was never opened, RFC 9113 section 5.1.
func (c *Conn) idle(id uint32) bool {
	if c.cfg.Client {
		return id&1 == 0 || id >= c.nextLocal
	}
	return id&1 == 0 || id > c.lastPeer
}

// ignored reports whether the stream is one that our GOAWAY has refused.
func (c *Conn) ignored(id uint32) bool { return c.left && !c.cfg.Client && id&1 == 1 && id > c.leftAt }
