package h2

// Config is what a connection is made with. The zero value is a server with the defaults.
type Config struct {
	Client bool // the half that opens streams

	MaxStreams   uint32 // streams that the peer may have open at a time; 0 is 128. A client admits none
	StreamWindow int    // bytes that a stream takes before they are consumed; 0 is 256 KiB
	ConnWindow   int    // the same for the connection, at least 65535; 0 is 1 MiB
	MaxFrame     int    // the largest frame payload that is taken, 16 KiB (also 0) to 16 MiB

	HeaderList   int // bytes of a header list, with 32 for each field (RFC 9113 section 6.5.2); 0 is 64 KiB
	HeaderFields int // fields of a header list, where all pieces of a Cookie are one; 0 is 128

	LowWater int // queued bytes of a stream below which Room is called; 0 is 16 KiB

	// ExtendedConnect offers RFC 8441 to clients: CONNECT with :protocol.
	ExtendedConnect bool

	Floods Floods
	Pool   *Pool // memory shared with other connections of the same loop; nil: the connection has its own
}

// Floods are the budgets of what costs us more than the peer. Going beyond one ends the connection
// with ENHANCE_YOUR_CALM.
type Floods struct {
	// Control counts frames without work: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, unknown ones, and
	// what comes for streams that are gone. Finished requests earn some back, and DATA that we send, since acknowledging it
	// takes such frames; but not where the peer's tiny windows made it tiny. The default is {1000, 200}.
	Control Budget
	// Resets counts requests of a client that end in a reset before their response did: those that it cancels
	// within 100 ms (rapid reset; who waits longer opens no more than MaxStreams in that time), malformed and refused
	// ones, and errors that it provokes in a stream. A request that ends well earns one back. The default is {200, 50}.
	Resets Budget
	// Dribble counts frames of DATA below 64 bytes that do not end a stream; one below 5 bytes (no message of
	// gRPC or WebSocket is as short) counts fifty times. DATA that we send earns some back. The default is {100000, 100000}.
	Dribble Budget
}

// Budget is a token bucket. The zero value means the default.
type Budget struct {
	Burst     int // tokens at the start, and at most; negative: no limit
	PerSecond int // tokens that come back in a second
}

// Bounds that are not configurable.
const (
	maxCrumbs        = 256      // pieces of a Cookie field in one head
	maxContinuations = 64       // frames of one header block after the first
	maxEmptyPieces   = 4        // of those, without a byte
	maxOwed          = 16 << 10 // bytes of answers that the peer provoked and has not taken
	earlyStreams     = 100      // streams that a client opens before it knows the server's limit
)

func (c Config) orDefaults() Config {
	def := func(v *int, to int) {
		if *v <= 0 {
			*v = to
		}
	}
	if c.MaxStreams == 0 {
		c.MaxStreams = 128
	}
	def(&c.StreamWindow, 256<<10)
	def(&c.ConnWindow, 1<<20)
	def(&c.MaxFrame, minMaxFrame)
	def(&c.HeaderList, 64<<10)
	def(&c.HeaderFields, 128)
	def(&c.LowWater, 16<<10)
	c.StreamWindow = min(c.StreamWindow, maxWindow)
	c.ConnWindow = min(max(c.ConnWindow, firstWindow), maxWindow)
	c.MaxFrame = min(max(c.MaxFrame, minMaxFrame), maxMaxFrame)
	c.HeaderList = min(c.HeaderList, 16<<20)
	c.Floods.Control = c.Floods.Control.or(Budget{1000, 200})
	c.Floods.Resets = c.Floods.Resets.or(Budget{200, 50})
	c.Floods.Dribble = c.Floods.Dribble.or(Budget{100_000, 100_000})
	if c.Pool == nil {
		c.Pool = &Pool{}
	}
	return c
}

func (b Budget) or(def Budget) Budget {
	if b == (Budget{}) {
		return def
	}
	return b
}

// maxBlock bounds the bytes of a header block on the wire. A block may be larger than the list that
// is taken, so that the answer to it can be 431 and not the end of the connection.
func (c *Config) maxBlock() int { return c.HeaderList + minMaxFrame }
