package load

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/origin"
	"github.com/sluiceproxy/sluice/bench/lab/record"
)

// every is the pace of what goes through a tunnel.
const every = 100 * time.Millisecond

// socket opens a WebSocket, echoes frames for Hold, and closes it as RFC 6455 wants. An end
// without a Close frame is a loss. One that the other side begins is not: we were told.
func (c *client) socket(w *conn, id string) (bool, error) {
	key := base64.StdEncoding.EncodeToString([]byte(fmt.Sprintf("%016.16s", id)))
	if _, err := io.WriteString(w, c.head(http.MethodGet, origin.SocketPath, id, "Connection: Upgrade", "Upgrade: websocket",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: "+key)); err != nil {
		return false, afterWrite(w, err)
	}
	a, err := w.read()
	if err != nil {
		return false, err
	}
	if a.status != http.StatusSwitchingProtocols {
		return false, fail(record.OfStatus(a.status), "status %d: %.200s", a.status, a.body)
	}
	for i, end := 0, time.Now().Add(c.Hold); time.Now().Before(end); i++ {
		told, err := echoFrame(w, fmt.Sprintf("%s frame %d", id, i))
		if err != nil || told {
			return false, err
		}
		time.Sleep(every) // pace of this client
	}
	if err := origin.WriteFrame(w, origin.Frame{Op: origin.OpClose, Payload: []byte{0x03, 0xe8}}, true); err != nil { // 1000
		return false, err
	}
	return false, untilClose(w)
}

// echoFrame sends a frame and reads it back; told: a Close frame came instead, and was answered.
func echoFrame(w *conn, text string) (told bool, err error) {
	if err := origin.WriteFrame(w, origin.Frame{Op: origin.OpText, Payload: []byte(text)}, true); err != nil {
		return false, err
	}
	for {
		f, err := origin.ReadFrame(w.in)
		switch {
		case errors.Is(err, io.EOF):
			return false, fail(record.NoTerminator, "the WebSocket ended without a Close frame")
		case err != nil:
			return false, err
		case f.Op == origin.OpPing:
			if err := origin.WriteFrame(w, origin.Frame{Op: origin.OpPong, Payload: f.Payload}, true); err != nil {
				return false, err
			}
			continue
		case f.Op == origin.OpClose:
			return true, origin.WriteFrame(w, f, true)
		case string(f.Payload) != text:
			return false, fail(record.WrongBody, "frame %q, want %q", f.Payload, text)
		}
		return false, nil
	}
}

// untilClose reads to the Close frame that answers ours.
func untilClose(w *conn) error {
	for {
		f, err := origin.ReadFrame(w.in)
		if errors.Is(err, io.EOF) {
			return fail(record.NoTerminator, "no Close frame in answer to ours")
		}
		if err != nil || f.Op == origin.OpClose {
			return err
		}
	}
}

// tunnel echoes lines through a raw tunnel for Hold, then ends it: FIN there, FIN back.
func (c *client) tunnel(w *conn, id string) (bool, error) {
	for i, end := 0, time.Now().Add(c.Hold); i == 0 || time.Now().Before(end); i++ {
		line := id + "\n"
		if i > 0 {
			line = fmt.Sprintf("%s line %d\n", id, i)
		}
		if _, err := io.WriteString(w, line); err != nil {
			return false, err
		}
		got, err := w.in.ReadString('\n')
		if err != nil {
			return false, err
		}
		if got != line {
			return false, fail(record.WrongBody, "line %q, want %q", got, line)
		}
		time.Sleep(every) // pace of this client
	}
	if err := closeWrite(w.Conn); err != nil {
		return false, err
	}
	rest, err := io.ReadAll(w.in)
	if err == nil && len(rest) > 0 {
		return false, fail(record.WrongBody, "%d bytes after the last line", len(rest))
	}
	return false, err
}
