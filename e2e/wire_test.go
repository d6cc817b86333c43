package e2e

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
)

// wire is one client connection, without the retries of a library.
type wire struct {
	net.Conn
	in *bufio.Reader
}

// errRefused is a dial that found no door: it is counted, and not a loss.
var errRefused = errors.New("the dial was refused or timed out")

// connect dials; its error is errRefused where nothing was established.
func connect(addr string, timeout time.Duration) (*wire, error) {
	addr, secure := strings.CutPrefix(addr, overTLS)
	c, err := net.DialTimeout("tcp", addr, timeout)
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrDeadlineExceeded) || isTimeout(err) {
		return nil, errRefused
	}
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	if secure {
		c = tls.Client(c, trusting())
		if err := c.(*tls.Conn).Handshake(); err != nil {
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
	}
	return &wire{c, bufio.NewReader(c)}, nil
}

// connectFrom dials from an address of this machine.
func connectFrom(source, addr string) (*wire, error) {
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
	c, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	return &wire{c, bufio.NewReader(c)}, nil
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// answer is a complete response.
type answer struct {
	status int
	body   string
	head   http.Header
	leave  bool // told to leave: Connection: close, or HTTP/1.0
}

// ask sends one request as it stands and reads one complete response. Any error is a loss.
func (w *wire) ask(request string) (answer, error) {
	if _, err := io.WriteString(w, request); err != nil {
		return answer{}, err
	}
	return w.read(request)
}

// read reads the final response to a request.
func (w *wire) read(request string) (answer, error) {
	var method string
	if len(request) >= 5 && request[:5] == "HEAD " {
		method = http.MethodHead
	}
	for {
		resp, err := http.ReadResponse(w.in, &http.Request{Method: method})
		if err != nil {
			return answer{}, err
		}
		if resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		a := answer{status: resp.StatusCode, head: resp.Header, leave: resp.Close}
		if resp.StatusCode == http.StatusSwitchingProtocols {
			return a, nil
		}
		body, err := io.ReadAll(resp.Body)
		a.body = string(body)
		return a, err
	}
}

// once asks on a connection of its own.
func once(addr, request string) (answer, error) {
	w, err := connect(addr, patience)
	if err != nil {
		return answer{}, err
	}
	defer w.Close()
	return w.ask(request)
}

// get is a request without a body. Fields are whole lines without their end.
func get(path string, fields ...string) string {
	r := "GET " + path + " HTTP/1.1\r\nHost: app.example.com\r\n"
	for _, f := range fields {
		r += f + "\r\n"
	}
	return r + "\r\n"
}

// errShort is a response that ended in good order and is not the whole of it.
var errShort = errors.New("the response is not what the upstream sent")
