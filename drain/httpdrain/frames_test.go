package httpdrain

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/net/http2"
)

// frameBytes makes a frame as it is on the wire.
func frameBytes(kind http2.FrameType, flags http2.Flags, stream byte, payload string) []byte {
	b := appendFrame(nil, kind, []byte(payload))
	b[4], b[8] = byte(flags), stream
	return b
}

// some is a stretch of frames, header block in two frames and empty payloads among them.
func some() []byte {
	return slices.Concat(
		frameBytes(http2.FrameSettings, 0, 0, ""),
		frameBytes(http2.FrameHeaders, 0, 1, "the beginning of a block"),
		frameBytes(http2.FrameContinuation, http2.FlagContinuationEndHeaders, 1, "its end"),
		frameBytes(http2.FramePing, http2.FlagPingAck, 0, goodbyePing),
		frameBytes(http2.FrameData, http2.FlagDataEndStream, 1, string(bytes.Repeat([]byte("x"), 300))),
	)
}

func scanned(s *frames, b []byte) (seen []string) {
	s.scan(b, func(f frame, payload []byte) {
		seen = append(seen, fmt.Sprintf("%v %d %d %d %q", f.kind, f.flags, f.stream, f.length, payload))
	})
	return seen
}

func TestFramesInAnyPieces(t *testing.T) {
	all := some()
	whole := scanned(&frames{}, all)
	if len(whole) != 5 || whole[3] != `PING 1 0 8 "httpdrn!"` {
		t.Fatalf("frames: %q", whole)
	}
	for size := 1; size < len(all); size++ {
		s := &frames{}
		var got []string
		for rest := all; len(rest) > 0; {
			n := min(size, len(rest))
			got = append(got, scanned(s, rest[:n])...)
			rest = rest[n:]
		}
		if !slices.Equal(got, whole) {
			t.Fatalf("in pieces of %d: %q", size, got)
		}
		if !s.between() {
			t.Errorf("in pieces of %d: not between two frames at the end", size)
		}
	}
}

// Nothing may come inside a frame, or between HEADERS and its CONTINUATION.
func TestBetweenFrames(t *testing.T) {
	settings, headers := frameBytes(http2.FrameSettings, 0, 0, "123456"), frameBytes(http2.FrameHeaders, 0, 1, "block")
	s := &frames{}
	for i := range settings {
		if got, want := s.between(), i == 0; got != want {
			t.Errorf("after %d bytes of a frame: between is %t", i, got)
		}
		scanned(s, settings[i:i+1])
	}
	if !s.between() {
		t.Error("after a frame: not between")
	}
	scanned(s, headers)
	if s.between() {
		t.Error("inside a header block: between")
	}
	scanned(s, frameBytes(http2.FrameContinuation, http2.FlagContinuationEndHeaders, 1, "end"))
	if !s.between() {
		t.Error("after a header block: not between")
	}
}

func TestThePrefaceIsNoFrame(t *testing.T) {
	s := &frames{preface: len(http2.ClientPreface)}
	if got := scanned(s, append([]byte(http2.ClientPreface), some()...)); len(got) != 5 {
		t.Errorf("frames behind the preface: %q", got)
	}
}

// Whatever comes, in whatever pieces, is cut in the same way.
func FuzzFrames(f *testing.F) {
	f.Add(some(), 3)
	f.Add([]byte{0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 1}, 1)
	f.Fuzz(func(t *testing.T, b []byte, size int) {
		size = max(1, size)
		whole, s := scanned(&frames{}, b), &frames{}
		var got []string
		for rest := b; len(rest) > 0; {
			n := min(size, len(rest))
			got = append(got, scanned(s, rest[:n])...)
			rest = rest[n:]
		}
		if !slices.Equal(got, whole) {
			t.Errorf("%q in pieces of %d, %q in one", got, size, whole)
		}
	})
}
