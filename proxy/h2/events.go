package h2

// Events is what a connection tells its owner. All slices are valid during the call only. Within an
// event every method of the [Conn] and its streams may be called but Receive, Append and Release.
//
// Every stream that was shown to the owner (by Head or TooLarge, or returned by Open) gets exactly one last
// event, Done or Reset, unless the owner itself calls [Stream.Reset] or the connection ends first. When the
// last event or that call returns, the *Stream is dead: it will be used for another stream.
type Events interface {
	// Head is a request (server) or a final response (client). It is valid (RFC 9113 section 8): pseudo-fields
	// come first, names are in lower case, the pieces of Cookie are joined. end: no body and no trailers follow. What follows a
	// CONNECT, and a 2xx answer to one, is DATA alone, without a length.
	Head(s *Stream, fields []Field, end bool)
	// Interim is an informational response (1xx, never 101), of a client. Endless ones are for the caller to bound.
	Interim(s *Stream, fields []Field)
	// TooLarge is a request whose header list is above the limits, in place of Head. The stream waits for an
	// answer (431), without a body if [Stream.ToHEAD] says so; that of the request is dropped.
	TooLarge(s *Stream)
	// Data is a piece of the body. Its bytes stay in the windows until [Conn.Consumed]. b may be empty if end is true.
	Data(s *Stream, b []byte, end bool)
	// Trailers end a message in place of the last Data.
	Trailers(s *Stream, fields []Field)
	// Reset is the last event of a stream that did not end well.
	Reset(s *Stream, why Cause)
	// Done is the last event of a stream whose two messages are whole: what we sent has left by Append.
	Done(s *Stream)
	// Room is called when the queue of a stream that was full fell to LowWater. On a stream of CONNECT it is also
	// called whenever the queue has become empty.
	Room(s *Stream)
	// Refused is for the record: a stream that was never shown was reset by us.
	Refused(id uint32, why Reason)
	// Settings is called when the peer's SETTINGS are in force, each time.
	Settings()
	// GoAway is the peer's. On a client the streams above last get Reset first, with Unprocessed.
	GoAway(last uint32, code ErrorCode, debug []byte)
	// NoticeAcked: all that the peer sent before it knew of [Conn.Notice] has been received.
	NoticeAcked()
	// Pong is the answer to [Conn.Ping].
	Pong()
}

// Field is one field of a head or of trailers. Names are in lower case.
type Field struct {
	Name, Value []byte
	Sensitive   bool // never indexed, RFC 7541 section 7.1.3: secrets that are short or guessed bit by bit
}
