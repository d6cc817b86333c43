package proxy

import (
	"fmt"
	"strings"
)

// Access says what access records are made of. The zero value is all there is, as JSON, of each
// exchange.
type Access struct {
	// Sample is how many exchanges that went well (a status below 400 that the upstream gave,
	// to its end) have one record among them, chosen by request ID; it then says so. All others
	// always have one. 0 and 1: each has.
	Sample int
	// Redact leaves these fields out; of peer, the network stays: the first 24 bits of an IPv4
	// address, 48 of IPv6.
	Redact []string
	// Template replaces JSON: text in which {name} is a field, "{{" a brace. What a record does not
	// have is "-". Empty: JSON.
	Template string
}

// accessField is a field of an access record.
type accessField uint8

const (
	literal accessField = iota // of a template
	recTime
	recRequestID
	recTraceID
	recListener
	recPeer
	recProtocol
	recMethod
	recHost
	recPath
	recRoute
	recUser
	recStatus
	recReason
	recErr
	recBytesIn
	recBytesOut
	recDuration
	recSample
	numAccessFields
)

var accessFields = [numAccessFields]string{literal: "", recTime: "time", recRequestID: "request_id", recTraceID: "trace_id", recListener: "listener",
	recPeer: "peer", recProtocol: "protocol", recMethod: "method", recHost: "host", recPath: "path", recRoute: "route", recUser: "user",
	recStatus: "status", recReason: "reason", recErr: "err", recBytesIn: "bytes_in", recBytesOut: "bytes_out", recDuration: "dur_ms", recSample: "sample"}

// AccessFields are the names of the fields of an access record, in the order of its JSON.
func AccessFields() []string { return append([]string(nil), accessFields[recTime:]...) }

// Redactable are the fields that may be left out: those that say who somebody is, or what they read.
func Redactable() []string { return []string{"peer", "user", "host", "path"} }

// access is an Access that was read.
type access struct {
	sample   uint64 // 1: all
	redact   [numAccessFields]bool
	template []segment // nil: JSON
}

// segment is a part of a template: text, and then a field.
type segment struct {
	text  string
	field accessField // literal: none
}

// Check reports what is wrong with an Access.
func (a Access) Check() error {
	_, err := a.read()
	return err
}

func (a Access) read() (access, error) {
	out := access{sample: uint64(max(a.Sample, 1))}
	for _, name := range a.Redact {
		f := fieldNamed(name)
		switch f {
		case recPeer, recUser, recHost, recPath:
			out.redact[f] = true
		default:
			return access{}, fmt.Errorf("%q cannot be redacted; it is one of %s", name, strings.Join(Redactable(), ", "))
		}
	}
	if a.Template == "" {
		return out, nil
	}
	var err error
	out.template, err = readTemplate(a.Template)
	return out, err
}

func fieldNamed(name string) accessField {
	for f := recTime; f < numAccessFields; f++ {
		if accessFields[f] == name {
			return f
		}
	}
	return literal
}

// readTemplate splits a template into its segments.
func readTemplate(text string) (list []segment, err error) {
	var before strings.Builder
	for text != "" {
		plain, rest, found := strings.Cut(text, "{")
		if i := strings.IndexAny(plain, "\r\n"); i >= 0 {
			return nil, fmt.Errorf("a line break at %q: a record is one line", plain[i:])
		}
		before.WriteString(plain)
		if !found {
			break
		}
		if strings.HasPrefix(rest, "{") {
			before.WriteByte('{')
			text = rest[1:]
			continue
		}
		name, after, closed := strings.Cut(rest, "}")
		f := fieldNamed(name)
		if !closed || f == literal {
			return nil, fmt.Errorf("%q is no field; there are %s", "{"+name, strings.Join(AccessFields(), ", "))
		}
		list = append(list, segment{before.String(), f})
		before.Reset()
		text = after
	}
	if before.Len() > 0 {
		list = append(list, segment{text: before.String()})
	}
	return list, nil
}
