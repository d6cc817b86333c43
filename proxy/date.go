package proxy

import (
	"time"

	"github.com/sluiceproxy/sluice/proxy/h1"
)

// A response that comes without a Date gets one when it is passed on (RFC 9110 section 6.6.1:
// whoever has a clock must), and so do our own. The time is that of the driver.

// dateField is a Date field line, made once a second. The zero value is ready. Owned by its loop.
type dateField struct {
	second int64 // Unix, of line
	line   []byte
}

// at is the line for t; valid until the next call.
func (d *dateField) at(t time.Time) []byte {
	if s := t.Unix(); s != d.second || d.line == nil {
		d.second, d.line = s, h1.AppendDate(d.line[:0], t)
	}
	return d.line
}

func hasDate(fields []h1.Field) bool {
	for i := range fields {
		if fields[i].ID == h1.Date {
			return true
		}
	}
	return false
}
