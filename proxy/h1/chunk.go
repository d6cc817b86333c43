package h1

import (
	"bytes"
)

// chunkState is the place within a chunked body, RFC 9112 section 7.1:
//
//	size -> [ext] -> sizeLF -> data -> dataCR -> dataLF -> size ...
//	                        \-> trailer (after a size of 0) -> done
type chunkState uint8

const (
	chunkSize    chunkState = iota // hex digits
	chunkExt                       // an extension: read past, bounded, dropped
	chunkSizeLF                    // LF behind size or extensions
	chunkData                      // left bytes of payload
	chunkDataCR                    // CR behind the payload
	chunkDataLF                    // LF behind the payload
	chunkTrailer                   // trailer section
)

const (
	maxChunkDigits = 16      // bounds leading zeros
	maxChunk       = 1 << 60 // bytes; every chunk is smaller
)

func (b *Body) nextChunked(in []byte) (data []byte, n int, err *Error) {
	for n < len(in) {
		switch b.state {
		case chunkData:
			data = b.take(in[n:])
			if b.left == 0 {
				b.state = chunkDataCR
			}
			return data, n + len(data), nil
		case chunkTrailer:
			used, err := b.nextTrailer(in[n:])
			return nil, n + used, err
		default:
			if err := b.framing(in[n]); err != nil {
				return nil, n, err
			}
			n++
		}
	}
	return nil, n, nil
}

// framing takes one byte that is neither payload nor trailer.
func (b *Body) framing(c byte) *Error {
	switch b.state {
	case chunkSize:
		return b.sizeByte(c)
	case chunkExt:
		if b.extension++; b.extension > maxExtension {
			return errChunkExt
		}
		switch {
		case c == '\r':
			b.state = chunkSizeLF
		case isControl(c):
			return errChunkExt // a bare LF here is the TERM.EXT class of smuggling
		}
	case chunkSizeLF:
		if c != '\n' {
			return errChunkExt
		}
		b.state, b.digits = chunkData, 0
		if b.left == 0 {
			b.state = chunkTrailer
		}
	case chunkDataCR:
		if c != '\r' {
			return errChunkEnd
		}
		b.state = chunkDataLF
	case chunkDataLF:
		if c != '\n' {
			return errChunkEnd
		}
		b.state = chunkSize
	}
	return nil
}

func (b *Body) sizeByte(c byte) *Error {
	if v, ok := hexValue(c); ok {
		// The bound comes before the shift: 16 digits would overflow an int64.
		if b.digits++; b.digits > maxChunkDigits || b.left >= maxChunk>>4 {
			return errChunkSize
		}
		b.left = b.left<<4 | v
		return nil
	}
	switch {
	case b.digits == 0:
		return errChunkSize
	case c == '\r':
		b.state = chunkSizeLF
	case c == ';':
		b.state = chunkExt
	default: // white space too: RFC 9112 allows it before ';', but net/http does not take it
		return errChunkSize
	}
	return nil
}

func hexValue(c byte) (int64, bool) {
	switch {
	case isDigit(c):
		return int64(c - '0'), true
	case 'a' <= lower[c] && lower[c] <= 'f':
		return int64(lower[c]-'a') + 10, true
	}
	return 0, false
}

// nextTrailer collects the trailer section line by line and parses it at its end.
func (b *Body) nextTrailer(in []byte) (n int, err *Error) {
	for n < len(in) {
		i := bytes.IndexByte(in[n:], '\n')
		piece := in[n:]
		if i >= 0 {
			piece = in[n : n+i+1]
		}
		if len(b.trailer)+len(piece) > maxTrailer {
			return n, errTrailerTooBig
		}
		b.trailer = append(b.trailer, piece...)
		n += len(piece)
		if i < 0 {
			return n, nil
		}
		line := b.trailer[b.lineStart:]
		if len(line) < 2 || line[len(line)-2] != '\r' {
			return n, errBareLF
		}
		b.lineStart = len(b.trailer)
		if len(line) == 2 {
			err := b.parseTrailers()
			b.done = err == nil
			return n, err
		}
	}
	return n, nil
}

func (b *Body) parseTrailers() *Error {
	for at := 0; ; {
		line, next, err := cutLine(b.trailer, at, maxTrailer, errTrailerTooBig)
		if err != nil || len(line) == 0 {
			return err
		}
		var f Field
		if err := f.parse(line); err != nil {
			return err
		}
		if len(b.trailers) >= maxTrailers {
			return errTrailerTooBig
		}
		if forbiddenTrailer(&f) {
			return errTrailerField
		}
		b.trailers = append(b.trailers, f)
		at = next
	}
}

// forbiddenTrailer says whether a field needs to be known before the body (framing,
// routing, authentication, conditions, content handling), RFC 9110 section 6.5.1.
// A reader that merged it into the head would be fooled by it.
func forbiddenTrailer(f *Field) bool {
	if props[f.ID]&noTrailer != 0 {
		return true
	}
	for _, prefix := range [...]string{"if-", "proxy-", "sec-", "x-forwarded-"} {
		if len(f.Name) >= len(prefix) && foldEqual(f.Name[:len(prefix)], prefix) {
			return true
		}
	}
	for _, name := range [...]string{"age", "authentication-info", "expires", "pragma", "warning"} {
		if foldEqual(f.Name, name) {
			return true
		}
	}
	return false
}

// AppendChunk appends data as one chunk. Without data it appends nothing: an empty
// chunk would end the body.
func AppendChunk(dst, data []byte) []byte {
	if len(data) == 0 {
		return dst
	}
	dst = AppendChunkSize(dst, int64(len(data)))
	dst = append(dst, data...)
	return append(dst, "\r\n"...)
}

// AppendChunkSize appends the line that begins a chunk of n > 0 bytes. The caller
// sends the bytes and a CRLF itself.
func AppendChunkSize(dst []byte, n int64) []byte {
	if n <= 0 {
		panic("BUG: h1.AppendChunkSize of no bytes would end the body")
	}
	const digits = "0123456789abcdef"
	shift := 60
	for n>>shift == 0 {
		shift -= 4
	}
	for ; shift >= 0; shift -= 4 {
		dst = append(dst, digits[n>>shift&0xf])
	}
	return append(dst, "\r\n"...)
}

// AppendLastChunk ends a chunked body, with trailers if there are any.
func AppendLastChunk(dst []byte, trailers []Field) []byte {
	dst = append(dst, "0\r\n"...)
	for i := range trailers {
		dst = AppendField(dst, trailers[i].Name, trailers[i].Value)
	}
	return append(dst, "\r\n"...)
}
