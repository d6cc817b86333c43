package e2e

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// heard is what a client got.
type heard struct {
	told
	status, reason string
	whole          bool
	interims       []string // the statuses of 1xx
	addsLength     bool     // HTTP/1.1: a Content-Length of 0, which says what END_STREAM on the head said
}

// note takes a field of the final response, but for what the proxy adds, and what only frames it.
func (h *heard) note(name, value string) {
	switch name = strings.ToLower(name); name {
	case "x-sluice-reason":
		h.reason = value
	case "date", "connection", "transfer-encoding", "x-request-id":
	default:
		h.add(name, value)
	}
}

// beginning takes what is not a whole response.
func (h *heard) beginning(b []byte) {
	if m, _, _ := strictResponse(b, false, false); m != nil {
		h.take(m)
	}
}

func (h *heard) take(m *message) {
	h.status = m.start[1]
	h.add(":status", h.status)
	for _, f := range m.fields {
		h.note(f[0], f[1])
	}
	h.body = m.body
	for _, f := range m.trailers {
		h.trailers = append(h.trailers, strings.ToLower(f[0])+": "+f[1])
	}
	h.addsLength = h.body == "" && m.length == 0
}

// hear follows a stream to its end.
func (f *framer) hear(id uint32) (*heard, error) {
	h := &heard{}
	_ = f.SetDeadline(time.Now().Add(5 * time.Second))
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return nil, err
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = f.WriteSettingsAck()
			}
		case *http2.GoAwayFrame:
			err = fmt.Errorf("GOAWAY %v", frame.ErrCode)
		case *http2.MetaHeadersFrame:
			if frame.StreamID == id {
				h.takeHead(frame)
				h.whole = frame.StreamEnded()
			}
		case *http2.DataFrame:
			if frame.StreamID == id {
				h.body += string(frame.Data())
				h.whole = frame.StreamEnded()
			}
		case *http2.RSTStreamFrame:
			if frame.StreamID == id {
				return h, nil
			}
		}
		if err != nil || h.whole {
			return h, err
		}
	}
}

// takeHead takes a head of a response, or its trailers.
func (h *heard) takeHead(f *http2.MetaHeadersFrame) {
	status := f.PseudoValue("status")
	switch {
	case status == "":
		for _, t := range f.Fields {
			h.trailers = append(h.trailers, t.Name+": "+t.Value)
		}
	case status[0] == '1':
		h.interims = append(h.interims, status)
	default:
		h.status = status
		for _, t := range f.Fields {
			h.note(t.Name, t.Value)
		}
	}
}
