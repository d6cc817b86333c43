package h1

// BodyKind says how a body is framed, RFC 9112 section 6.
type BodyKind uint8

// The kinds. The zero value is BodyNone.
const (
	BodyNone       BodyKind = iota // no bytes follow
	BodyLength                     // a known number of bytes
	BodyChunked                    // chunks, then trailer fields
	BodyUntilClose                 // everything up to EOF; responses only
)

func (k BodyKind) String() string {
	switch k {
	case BodyNone:
		return "none"
	case BodyLength:
		return "length"
	case BodyChunked:
		return "chunked"
	case BodyUntilClose:
		return "until_close"
	}
	return "invalid"
}

// Body takes the framing off a body. It keeps no payload: what Next returns aliases
// its input. The zero value is a body of no bytes. It may be used again after Reset;
// only its trailer memory (at most 8 KiB, and only if there were trailers) stays.
type Body struct {
	kind  BodyKind
	state chunkState
	done  bool
	left  int64 // payload bytes until the end of the body or chunk
	err   *Error

	digits    int    // hex digits of the chunk size so far
	extension int    // bytes of chunk extensions so far, over the whole body
	trailer   []byte // the trailer section so far, copied because it may come in pieces
	lineStart int    // of the current line in trailer
	trailers  []Field
}

// Reset begins a new body. length counts only for BodyLength.
func (b *Body) Reset(kind BodyKind, length int64) {
	*b = Body{kind: kind, trailer: b.trailer[:0], trailers: b.trailers[:0]}
	switch kind {
	case BodyLength:
		b.left = max(length, 0)
		b.done = b.left == 0
	case BodyNone:
		b.done = true
	}
}

// Next takes the framing off the front of in. It returns the payload found, which may
// be empty, and how many bytes of in were used up: call it again with in[n:] until it
// is empty or [Body.Done]. While not done and in is not empty, n > 0. Bytes behind the
// body are left alone: they belong to the next message.
//
// An error is always an *[Error] and final. It is written for a request (Status 400);
// for a response the caller answers 502 or, with the head gone, aborts.
func (b *Body) Next(in []byte) (data []byte, n int, err error) {
	if b.err != nil {
		return nil, 0, b.err
	}
	if b.done || len(in) == 0 {
		return nil, 0, nil
	}
	switch b.kind {
	case BodyUntilClose:
		return in, len(in), nil
	case BodyLength:
		data = b.take(in)
		b.done = b.left == 0
		return data, len(data), nil
	case BodyChunked:
		data, n, b.err = b.nextChunked(in)
		if b.err != nil {
			return nil, n, b.err
		}
		return data, n, nil
	}
	return nil, 0, nil
}

func (b *Body) take(in []byte) []byte {
	if int64(len(in)) > b.left {
		in = in[:b.left]
	}
	b.left -= int64(len(in))
	return in
}

// Done reports whether the whole body, trailers included, went through Next or EOF.
func (b *Body) Done() bool { return b.done || b.kind == BodyNone }

// EOF tells that the input has ended. It is nil if the body is complete by that: it
// was Done already, or lasts until close.
func (b *Body) EOF() error {
	if b.err != nil {
		return b.err
	}
	if b.kind == BodyUntilClose {
		b.done = true
	}
	if !b.Done() {
		b.err = errTruncated
		return b.err
	}
	return nil
}

// Remaining is how many payload bytes are known to follow in one piece: the rest of a
// BodyLength or of the current chunk; -1 if all until EOF. For splicing.
func (b *Body) Remaining() int64 {
	if b.kind == BodyUntilClose {
		return -1
	}
	return b.left
}

// Skip tells that n of the Remaining payload bytes were carried past Next.
func (b *Body) Skip(n int64) {
	if b.kind == BodyUntilClose {
		return
	}
	if n < 0 || n > b.left {
		panic("BUG: h1.Body.Skip past the end of what is known to follow")
	}
	b.left -= n
	switch {
	case b.left > 0:
	case b.kind == BodyLength:
		b.done = true
	case b.state == chunkData:
		b.state = chunkDataCR
	}
}

// Trailers are the trailer fields of a chunked body, once it is Done; valid until
// Reset. They were checked as head fields are, and none is one that RFC 9110 section
// 6.5.1 forbids there.
func (b *Body) Trailers() []Field {
	if !b.done {
		return nil
	}
	return b.trailers
}
