package websocket_test

import (
	"fmt"

	"github.com/sluiceproxy/sluice/proxy/websocket"
)

// A goodbye while the server is in the middle of a frame.
func Example() {
	s := websocket.NewSession()
	tell := func() {
		for to, ok := s.Due(); ok; to, ok = s.Due() {
			fmt.Println("a Close to", map[websocket.Peer]string{websocket.Client: "the client", websocket.Server: "the server"}[to])
			s.Told(to)
		}
	}
	hello := []byte("\x81\x05hello")
	s.Take(websocket.Server, hello[:3])
	s.Begin()
	tell()
	fmt.Println("the rest of the frame")
	s.Take(websocket.Server, hello[3:])
	tell()
	fmt.Println("the client answers")
	s.Take(websocket.Client, []byte("\x88\x80mask"))
	tell()
	// Output:
	// the rest of the frame
	// a Close to the client
	// the client answers
	// a Close to the server
}
