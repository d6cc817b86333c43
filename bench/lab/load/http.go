package load

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/sluiceproxy/sluice/bench/lab/origin"
	"github.com/sluiceproxy/sluice/bench/lab/record"
)

// answer is a complete response.
type answer struct {
	status int
	body   string
	leave  bool // told to leave
}

// read reads the final response.
func (w *conn) read() (answer, error) {
	for {
		resp, err := http.ReadResponse(w.in, nil)
		if err != nil {
			return answer{}, err
		}
		if resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		a := answer{status: resp.StatusCode, leave: resp.Close}
		if resp.StatusCode == http.StatusSwitchingProtocols {
			return a, nil
		}
		body, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
		_ = resp.Body.Close()
		a.body = string(body)
		return a, err
	}
}

// head is a request up to its fields.
func (c *client) head(method, path, id string, fields ...string) string {
	if c.gen.cfg.Path != "" {
		method, path = http.MethodGet, c.gen.cfg.Path
	}
	h := method + " " + path + " HTTP/1.1\r\nHost: " + c.gen.cfg.Host + "\r\n" + origin.IDField + ": " + id + "\r\n"
	for _, f := range fields {
		h += f + "\r\n"
	}
	return h + "\r\n"
}

// ask sends and reads, and holds the answer against what is right.
func (c *client) ask(w *conn, request, want string) (keep bool, err error) {
	if _, err := io.WriteString(w, request); err != nil {
		return false, afterWrite(w, err)
	}
	a, err := w.read()
	if err != nil {
		return false, err
	}
	return !a.leave, c.judge(a, want)
}

// afterWrite looks for an answer that came before the request could be sent: it says more
// than the error does.
func afterWrite(w *conn, err error) error {
	if a, readErr := w.read(); readErr == nil && a.status != http.StatusOK {
		return fail(record.OfStatus(a.status), "status %d while sending: %.200s", a.status, a.body)
	}
	return err
}

func (c *client) judge(a answer, want string) error {
	if a.status != http.StatusOK {
		return fail(record.OfStatus(a.status), "status %d: %.200s", a.status, strings.TrimSpace(a.body))
	}
	if c.gen.cfg.Path == "" && a.body != want {
		return fail(record.WrongBody, "%d bytes, want %d: %.80q", len(a.body), len(want), a.body)
	}
	return nil
}

func (c *client) short(w *conn, id string) (bool, error) {
	return c.ask(w, c.head(http.MethodGet, origin.ShortPath, id), origin.Answer(id))
}

// single says that it will not come again on this connection.
func (c *client) single(w *conn, id string) (bool, error) {
	return c.ask(w, c.head(http.MethodGet, origin.ShortPath, id, "Connection: close"), origin.Answer(id))
}

func (c *client) slow(w *conn, id string) (bool, error) {
	return c.ask(w, c.head(http.MethodGet, fmt.Sprintf("%s?d=%v", origin.SlowPath, c.Hold), id), origin.Answer(id))
}

func (c *client) post(w *conn, id string) (bool, error) {
	if c.gen.cfg.Path != "" {
		return c.ask(w, c.head(http.MethodGet, "", id), "")
	}
	body := origin.Answer(id)
	return c.ask(w, c.head(http.MethodPost, origin.EchoPath, id, fmt.Sprintf("Content-Length: %d", len(body)))+body, body)
}

// pieces of an upload.
const (
	pieces    = 6
	pieceSize = 8 << 10
)

// upload sends a body in pieces with pauses between, in which a stop may come.
func (c *client) upload(w *conn, id string) (bool, error) {
	piece := strings.Repeat(fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(id))), pieceSize/8)
	if _, err := io.WriteString(w, c.head(http.MethodPost, origin.EchoPath, id, "Transfer-Encoding: chunked")); err != nil {
		return false, afterWrite(w, err)
	}
	for range pieces {
		if _, err := fmt.Fprintf(w, "%x\r\n%s\r\n", pieceSize, piece); err != nil {
			return false, afterWrite(w, err)
		}
		time.Sleep(c.Hold / pieces) // pace of this client
	}
	return c.ask(w, "0\r\n\r\n", strings.Repeat(piece, pieces))
}

// events reads a stream to its last event.
func (c *client) events(w *conn, id string) (bool, error) {
	if _, err := io.WriteString(w, c.head(http.MethodGet, fmt.Sprintf("%s?d=%v", origin.EventsPath, c.Hold), id)); err != nil {
		return false, afterWrite(w, err)
	}
	a, err := w.read()
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF) && w.got > 0:
		return false, fail(record.Truncated, "the stream ended after %d bytes: %w", len(a.body), err)
	case err != nil:
		return false, err
	case a.status != http.StatusOK:
		return false, c.judge(a, "")
	case !strings.HasSuffix(a.body, origin.EventsEnd):
		return false, fail(record.NoTerminator, "the stream ended in good order after %d bytes, without its last event", len(a.body))
	}
	return false, nil
}
