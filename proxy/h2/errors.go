package h2

import "strconv"

// ErrorCode is an error code of RFC 9113 section 7.
type ErrorCode uint32

// The codes. Any other value is legal on the wire and means the same as InternalError.
const (
	NoError ErrorCode = iota
	ProtocolError
	InternalError
	FlowControlError
	SettingsTimeout
	StreamClosed
	FrameSizeError
	RefusedStream
	Cancel
	CompressionError
	ConnectError
	EnhanceYourCalm
	InadequateSecurity
	HTTP11Required
)

var codeNames = [...]string{"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
	"STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR",
	"ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"}

// String is the name as the RFC spells it, the number for a code that it does not name.
func (e ErrorCode) String() string {
	if int(e) < len(codeNames) {
		return codeNames[e]
	}
	return strconv.FormatUint(uint64(e), 10)
}

// Reason says why a connection ended or a stream was refused. It is from a closed set (see
// [Reasons]), so it is fit for a metric label. The empty Reason means that nothing was wrong.
type Reason string

// Reasons of connection errors.
const (
	BadPreface     Reason = "preface"      // the client's preface, or no SETTINGS first
	BadFrame       Reason = "frame"        // a frame that RFC 9113 section 6 forbids there
	BadFrameSize   Reason = "frame_size"   // a length that its type cannot have, or above our MAX_FRAME_SIZE
	BadStreamID    Reason = "stream_id"    // a stream that cannot be, or not any more
	BadSetting     Reason = "setting"      // a value out of its range
	BadCompression Reason = "compression"  // HPACK, RFC 7541
	BadWindow      Reason = "window"       // flow control: more than was allowed, an overflow, or an update of 0
	BlockTooLarge  Reason = "block"        // a header block in too many bytes or frames
	FloodControl   Reason = "flood"        // control frames without work
	FloodResets    Reason = "flood_resets" // requests that end in a reset, whoever sends it
	FloodDribble   Reason = "flood_data"   // tiny DATA, or windows that make ours tiny
	Unread         Reason = "unread"       // the peer provokes answers and reads none
	Aborted        Reason = "aborted"      // the caller's [Conn.Abort]
)

// Reasons of refused messages, RFC 9113 section 8; the code is PROTOCOL_ERROR unless said otherwise.
const (
	MalformedPseudo   Reason = "pseudo"         // unknown, repeated, missing, misplaced or empty pseudo-field
	MalformedMethod   Reason = "method"         // not a token
	MalformedScheme   Reason = "scheme"         // neither http nor https
	MalformedPath     Reason = "path"           // not an absolute path ("*" with OPTIONS)
	MalformedHost     Reason = "host"           // no authority, or two that differ
	MalformedStatus   Reason = "status"         // not three digits from 100 to 999, or 101
	MalformedName     Reason = "field_name"     // empty, upper case or not a token
	MalformedValue    Reason = "field_value"    // control bytes, or white space around it
	MalformedHop      Reason = "connection"     // a connection-specific field, or TE other than trailers
	MalformedLength   Reason = "content_length" // malformed, repeated, or not what came
	MalformedTrailers Reason = "trailers"       // without END_STREAM, or with fields that must not be there
	MalformedConnect  Reason = "connect"        // CONNECT with what it must not have, or :protocol without need
	MalformedPriority Reason = "priority"       // a stream that depends on itself
	MalformedOrder    Reason = "order"          // DATA before the head, a head after the end (STREAM_CLOSED)
	TooManyStreams    Reason = "streams"        // more than MaxStreams (REFUSED_STREAM)
	ListTooLarge      Reason = "header_list"    // fields or bytes above the limits
)

// Reasons lists the closed set, for metrics that create every label in advance.
func Reasons() []Reason {
	return []Reason{BadPreface, BadFrame, BadFrameSize, BadStreamID, BadSetting, BadCompression, BadWindow, BlockTooLarge,
		FloodControl, FloodResets, FloodDribble, Unread, Aborted,
		MalformedPseudo, MalformedMethod, MalformedScheme, MalformedPath, MalformedHost, MalformedStatus, MalformedName,
		MalformedValue, MalformedHop, MalformedLength, MalformedTrailers, MalformedConnect, MalformedPriority,
		MalformedOrder, TooManyStreams, ListTooLarge}
}

// ConnError ends a connection. A GOAWAY with Code is queued already: send what [Conn.Append]
// still gives, then close.
type ConnError struct {
	Code   ErrorCode
	Reason Reason
	Detail string // one constant sentence for people; holds nothing that the peer sent
}

func (e *ConnError) Error() string { return e.Detail }

// Cause says why a stream ended before its messages were whole.
type Cause struct {
	Code  ErrorCode
	Local bool // we sent the reset, because of what the peer did; otherwise the peer did
	// Unprocessed means that the peer certainly did nothing with the request: REFUSED_STREAM, or a
	// GOAWAY below its stream (RFC 9113 section 8.7). It may be sent again, whatever its method.
	Unprocessed bool
	Reason      Reason // set if Local
}
