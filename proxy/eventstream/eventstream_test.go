package eventstream_test

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/proxy/eventstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func Example() {
	var f eventstream.Follower
	stream := []byte("data: a\n\n: ping\ndata: b\n")
	n, event := f.Next(stream)
	fmt.Println(n, event, f.Boundary())
	n, event = f.Next(stream[n:])
	fmt.Println(n, event, f.Boundary())
	f.Next([]byte("\n"))
	fmt.Printf("%q\n", f.AppendRetry(nil, 1500*time.Millisecond))
	// Output:
	// 9 true true
	// 15 false false
	// "retry: 1500\n\n"
}

var lineEnd = regexp.MustCompile("\r\n|\r|\n")

// parse is the reference: it reads a whole stream as the standard says, by lines. events are the
// fields of each event that ended; open is whether something stands behind the last of them that is
// no comment.
func parse(stream string) (events []string, open bool) {
	lines := lineEnd.Split(stream, -1)
	last := lines[len(lines)-1] // not ended
	event := ""
	for _, line := range lines[:len(lines)-1] {
		switch {
		case line == "":
			if event != "" {
				events = append(events, event)
			}
			event = ""
		case !strings.HasPrefix(line, ":"):
			event += line + "\n"
		}
	}
	return events, last != "" || event != ""
}

// feed cuts a stream at random, and returns where its events end and whether it stands at a boundary.
func feed(r *rand.Rand, stream string, most int) (ends []int, boundary bool) {
	var f eventstream.Follower
	for at := 0; at < len(stream); {
		piece := stream[at:min(len(stream), at+1+r.IntN(most))]
		n, event := f.Next([]byte(piece))
		at += n
		if event {
			ends = append(ends, at)
		}
		if n == 0 || n < len(piece) != event && n < len(piece) {
			panic("it stopped where nothing ends")
		}
	}
	return ends, f.Boundary()
}

// FuzzFollower: at each end the reference has one event more than before it, and a boundary is where
// nothing is open; however the stream is cut.
func FuzzFollower(f *testing.F) {
	for _, s := range []string{
		"", "data: a\n\n", "data: a\r\n\r\ndata: b\r\n\r\n", "data: a\r\rdata: b\r\r", "data: a\r\n\ndata: b\n\r\n",
		": only a comment\n\n", "data: a\n: c\n\n", "\n\n\n", "\ufeffdata: a\n\n", "data\n\n", "data: a\n\n: ping\n", "data: a\r\n\r", ":\r\n",
	} {
		f.Add(s, uint64(len(s)))
	}
	f.Fuzz(func(t *testing.T, stream string, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		ends, boundary := feed(r, stream, len(stream)+1)
		for _, most := range []int{1, 3, 20} {
			if again, b := feed(r, stream, most); !slices.Equal(ends, again) || b != boundary {
				t.Fatalf("%q ends at %v (%v), or, cut into pieces, at %v (%v)", stream, ends, boundary, again, b)
			}
		}
		events, open := parse(stream)
		if len(events) != len(ends) || boundary == open {
			t.Fatalf("%q: ends %v, boundary %v; want %d events, open %v", stream, ends, boundary, len(events), open)
		}
		for i, end := range ends {
			if before, open := parse(stream[:end]); len(before) != i+1 || open {
				t.Fatalf("%q: at %d there are %d events, open %v", stream, end, len(before), open)
			}
		}
		// What is written at a boundary changes no event but the ones that it adds.
		if len(ends) > 0 {
			end := ends[r.IntN(len(ends))]
			var f eventstream.Follower
			f.Feed([]byte(stream[:end]))
			with, _ := parse(string(f.AppendRetry([]byte(stream[:end]), time.Second)) + stream[end:])
			if len(with) != len(events)+1 {
				t.Fatalf("%q: with a field at %d there are %d events, want one more than %d", stream, end, len(with), len(events))
			}
		}
	})
}
