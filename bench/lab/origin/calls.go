package origin

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// CallPath is a method of gRPC that gives each message of a call back.
const CallPath = "/lab.Echo/Call"

// maxMessage bounds what is read of one.
const maxMessage = 1 << 20

// Message is a text as gRPC sends it: not compressed, with its length before it.
func Message(text string) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(text))), text...)
}

// ReadMessage reads one; io.EOF: there is none any more, io.ErrUnexpectedEOF: it is not whole.
func ReadMessage(in io.Reader) (string, error) {
	var head [5]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return "", err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if head[0] != 0 || n > maxMessage {
		return "", fmt.Errorf("no message: %x", head)
	}
	text := make([]byte, n)
	_, err := io.ReadFull(in, text)
	return string(text), within(err)
}

// call answers each message as it comes.
func call(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	for {
		text, err := ReadMessage(r.Body)
		if errors.Is(err, io.EOF) {
			w.Header().Set("Grpc-Status", "0")
			return
		}
		if err == nil {
			_, err = w.Write(Message(text))
		}
		if err == nil {
			err = http.NewResponseController(w).Flush()
		}
		if err != nil {
			panic(http.ErrAbortHandler) // the caller gave up: no status may end it
		}
	}
}
