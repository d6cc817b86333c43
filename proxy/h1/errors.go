package h1

// Error is why a message was refused. All errors of this package are *Error values
// from the closed set below; compare by Reason.
type Error struct {
	Status int    // what a client that sent such a request gets; 502 for a response, 400 for a body
	Reason string // snake_case, from a closed set: fit for a metric label
	Detail string // one constant sentence for people; holds nothing the peer sent
}

func (e *Error) Error() string { return e.Detail }

// Reasons lists the closed set of [Error] reasons, for metrics that create every
// label in advance.
func Reasons() []string {
	names := make([]string, len(allErrors))
	for i, e := range allErrors {
		names[i] = e.Reason
	}
	return names
}

// Errors lists the closed set itself, for documentation. They are not to be changed.
func Errors() []*Error { return append([]*Error(nil), allErrors[:]...) }

// The errors. A response parser reports the same ones with Status 502 (see badResponse).
var (
	errRequestLine    = &Error{400, "request_line", "the request line is not: method, one space, target, one space, version"}
	errMethod         = &Error{400, "method", "the method is not a token"}
	errTarget         = &Error{400, "target", "the request target is malformed"}
	errUserinfo       = &Error{400, "userinfo", "the request target holds userinfo"}
	errHostMissing    = &Error{400, "host_missing", "an HTTP/1.1 request needs a Host field"}
	errHostRepeated   = &Error{400, "host_repeated", "the Host field is repeated"}
	errHostInvalid    = &Error{400, "host_invalid", "the host is malformed"}
	errHostMismatch   = &Error{400, "host_mismatch", "the Host field disagrees with the request target"}
	errBareLF         = &Error{400, "bare_lf", "a line ends in LF without CR"}
	errBareCR         = &Error{400, "bare_cr", "a line holds CR without LF"}
	errControl        = &Error{400, "control_byte", "a line holds a control byte"}
	errObsFold        = &Error{400, "obs_fold", "a field line is folded"}
	errFieldName      = &Error{400, "field_name", "a field name is not a token"}
	errSpaceColon     = &Error{400, "space_before_colon", "there is white space before the colon of a field"}
	errNoColon        = &Error{400, "no_colon", "a field line has no colon"}
	errConnection     = &Error{400, "connection", "the Connection field is malformed, too long, or names a field that everybody needs"}
	errUpgrade        = &Error{400, "upgrade", "the Upgrade field is malformed or repeated"}
	errLength         = &Error{400, "content_length", "Content-Length is not a plain number in range"}
	errLengthRepeated = &Error{400, "content_length_repeated", "Content-Length is repeated"}
	errLengthAndTE    = &Error{400, "length_and_transfer_encoding", "both Content-Length and Transfer-Encoding are present"}
	errTERepeated     = &Error{400, "transfer_encoding_repeated", "Transfer-Encoding is repeated"}
	errTEMinor        = &Error{400, "transfer_encoding_http10", "Transfer-Encoding is not part of HTTP/1.0"}
	errTEInvalid      = &Error{400, "transfer_encoding_invalid", "Transfer-Encoding does not end in chunked, or names it twice, or is malformed"}
	errTE             = &Error{501, "transfer_encoding", "a transfer coding other than chunked is not implemented"}
	errLineTooLong    = &Error{414, "line_too_long", "the request line is too long"}
	errFieldTooLong   = &Error{431, "field_too_long", "a field line is too long"}
	errHeadTooLarge   = &Error{431, "head_too_large", "the head is too large"}
	errTooManyFields  = &Error{431, "too_many_fields", "there are too many fields"}
	errExpect         = &Error{417, "expect", "the expectation is not 100-continue"}
	errVersion        = &Error{505, "version", "the version is not HTTP/1.1 or HTTP/1.0"}

	errStatusLine   = &Error{502, "status_line", "the status line is malformed"}
	errStatus       = &Error{502, "status", "the status is not from 100 to 599"}
	errNoBodyFramed = &Error{502, "framed_without_body", "a response that has no body announces one"}

	errChunkSize     = &Error{400, "chunk_size", "a chunk size is malformed or too large"}
	errChunkExt      = &Error{400, "chunk_extension", "a chunk extension is malformed or too long"}
	errChunkEnd      = &Error{400, "chunk_end", "chunk data is not followed by CRLF"}
	errTrailerTooBig = &Error{400, "trailer_too_large", "the trailer section is too large"}
	errTrailerField  = &Error{400, "trailer_forbidden", "a trailer field is one that must be in the head"}
	errTruncated     = &Error{400, "truncated", "the message ended before its body did"}
)

var allErrors = [...]*Error{
	errRequestLine, errMethod, errTarget, errUserinfo, errHostMissing, errHostRepeated, errHostInvalid,
	errHostMismatch, errBareLF, errBareCR, errControl, errObsFold, errFieldName, errSpaceColon, errNoColon,
	errConnection, errUpgrade, errLength, errLengthRepeated, errLengthAndTE, errTERepeated, errTEMinor, errTEInvalid, errTE,
	errLineTooLong, errFieldTooLong, errHeadTooLarge, errTooManyFields, errExpect, errVersion,
	errStatusLine, errStatus, errNoBodyFramed,
	errChunkSize, errChunkExt, errChunkEnd, errTrailerTooBig, errTrailerField, errTruncated,
}

// badResponses holds each error once more with Status 502, so that refusing an
// upstream's message does not allocate either.
var badResponses = func() map[*Error]*Error {
	m := make(map[*Error]*Error, len(allErrors))
	for _, e := range allErrors {
		m[e] = &Error{502, e.Reason, e.Detail}
	}
	return m
}()

func badResponse(e *Error) error { return badResponses[e] }
