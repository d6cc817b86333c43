package session

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	maxLine     = 16 << 10  // bytes of a line
	maxListFile = 512 << 20 // bytes of a list
)

// line is a record as it is written.
type line struct {
	Kind   string    `json:"kind"`
	Issuer string    `json:"issuer,omitempty"`
	Value  string    `json:"value,omitempty"`
	Before time.Time `json:"before"` // sessions that began until then
	At     time.Time `json:"at"`     // when it was revoked
}

// appendLine appends a record as a line.
func appendLine(dst []byte, r record) []byte {
	utc := func(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
	b, err := json.Marshal(line{r.Kind, r.Issuer, r.Value, utc(r.Before), utc(r.at)})
	if err != nil {
		panic(fmt.Sprintf("BUG: write a revocation: %v", err)) // only of a year that has five digits
	}
	return append(append(dst, b...), '\n')
}

func parseLine(b []byte) (record, error) {
	var l line
	if err := json.Unmarshal(b, &l); err != nil {
		return record{}, err
	}
	r := record{Revocation{l.Kind, l.Issuer, l.Value, l.Before}, l.At}
	if l.Before.IsZero() || l.At.IsZero() || l.Before.Year() > 9998 || l.At.Year() > 9998 {
		return record{}, errors.New("it has no times")
	}
	if err := r.check(l.Before); err != nil {
		return record{}, err
	}
	return r, nil
}

// damage is lines that are not records. They may have revoked anything until by.
type damage struct {
	lines   int // 0: there is none
	first   int // number of the first
	err     error
	by      time.Time // they are not newer
	bounded bool      // by the record that follows them
}

func (d *damage) found(number int, err error, now time.Time) {
	if d.lines++; d.lines == 1 {
		d.first, d.err = number, err
	}
	d.by, d.bounded = now, false
}

// passed takes a record that follows.
func (d *damage) passed(r record) {
	switch {
	case d.lines == 0:
	case r.Kind == All:
		*d = damage{} // whatever they said, it is said again
	case !d.bounded:
		if d.bounded = true; r.at.Before(d.by) {
			d.by = r.at
		}
	}
}

// follower reads a file that grows. The zero value has read nothing.
type follower struct {
	info   os.FileInfo // of the file when it was last looked at, before it was read; nil: never
	offset int64       // of the line that comes next
	before []byte      // what ends there: at most 256 bytes
	lines  int         // before that
	damage damage
}

// unchanged reports whether there is nothing to read.
func (f *follower) unchanged(info os.FileInfo) bool {
	return f.info != nil && os.SameFile(f.info, info) && f.info.Size() == info.Size() && f.info.ModTime().Equal(info.ModTime())
}

// read has apply called for each record that was not read before: for all of them where it is not the same file any more, or
// was changed where it was read. A last line without an end that is no record is one that is being written.
func (f *follower) read(name string, now time.Time, apply func(record) error) error {
	info, err := os.Stat(name)
	if err != nil || f.unchanged(info) {
		return err
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	return f.readFrom(file, now, apply)
}

func (f *follower) readFrom(file *os.File, now time.Time, apply func(record) error) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if info.Size() > maxListFile {
		return fmt.Errorf("%s: longer than %d bytes", file.Name(), maxListFile)
	}
	if f.info == nil || !os.SameFile(f.info, info) || info.Size() == f.info.Size() || !f.goesOn(file) {
		*f = follower{}
	}
	if _, err := file.Seek(f.offset, io.SeekStart); err != nil {
		return err
	}
	for in := bufio.NewReaderSize(file, maxLine); ; {
		text, length, err := readLine(in)
		if err == nil || err == io.EOF && length > 0 {
			err = f.take(text, length, err == nil, now, apply)
		}
		if err == io.EOF {
			f.info = info
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// goesOn reports whether the file still has, before where we go on, what we have read there.
func (f *follower) goesOn(file *os.File) bool {
	b := make([]byte, len(f.before))
	n, err := file.ReadAt(b, f.offset-int64(len(b)))
	return n == len(b) && (err == nil || err == io.EOF) && bytes.Equal(b, f.before)
}

// readLine returns a line, without its end, and how many bytes it takes. One that is too long has no text. The error is io.EOF
// for what has no end.
func readLine(in *bufio.Reader) (text []byte, length int64, err error) {
	text, err = in.ReadSlice('\n')
	length = int64(len(text))
	for errors.Is(err, bufio.ErrBufferFull) {
		text, err = in.ReadSlice('\n')
		length += int64(len(text))
		text = nil
	}
	return bytes.TrimSuffix(text, []byte{'\n'}), length, err
}

// take reads a line; whole: it has an end. io.EOF: it has not, and is the last.
func (f *follower) take(text []byte, length int64, whole bool, now time.Time, apply func(record) error) error {
	if whole {
		f.offset += length
		f.lines++
		f.before = append(append(f.before[:0], text[max(0, len(text)-255):]...), '\n')
	}
	blank := len(bytes.TrimSpace(text)) == 0 && text != nil
	r, err := parseLine(text)
	switch {
	case blank:
	case err == nil:
		if whole {
			f.damage.passed(r)
		}
		if err := apply(r); err != nil { // it finds no room
			f.damage.found(f.lines, err, now)
		}
	case whole:
		f.damage.found(f.lines, err, now)
	}
	if !whole {
		return io.EOF
	}
	return nil
}
