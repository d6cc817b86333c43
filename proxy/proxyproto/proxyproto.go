package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"
	"strconv"
)

// MaxHeader bounds a header. The specification grants version 1 107 bytes; the TLVs of
// version 2 could take 64 KiB, which nobody who means well sends.
const (
	MaxHeader = 4096
	maxLine   = 107
)

// ErrMalformed says that what came is no header.
var ErrMalformed = errors.New("malformed PROXY protocol header")

// Header is what one hop says about a connection. The zero Header says nothing: the
// connection is the hop's own (LOCAL, a health check), or it does not know (UNKNOWN).
type Header struct {
	Source, Destination netip.AddrPort // of one family, or both invalid
}

// Known reports whether the header names a client.
func (h Header) Known() bool { return h.Source.IsValid() }

const (
	line      = "PROXY "
	signature = "\r\n\r\n\x00\r\nQUIT\n"
	fixed     = len(signature) + 4 // of version 2: then the addresses and TLVs
)

// Parse reads a header at the front of b, which is not kept. n is its length; 0 without
// an error: it is not complete yet.
func Parse(b []byte) (h Header, n int, err error) {
	switch {
	case startsLike(b, line):
		return parseLine(b)
	case startsLike(b, signature):
		return parseBinary(b)
	}
	return Header{}, 0, ErrMalformed
}

// startsLike reports whether b begins with s, or s with b.
func startsLike(b []byte, s string) bool {
	n := min(len(b), len(s))
	return string(b[:n]) == s[:n]
}

// parseLine reads version 1: PROXY TCP4 source destination port port CRLF.
func parseLine(b []byte) (h Header, n int, err error) {
	end := bytes.IndexByte(b[:min(len(b), maxLine)], '\n')
	if end < 0 {
		if len(b) >= maxLine {
			return Header{}, 0, ErrMalformed
		}
		return Header{}, 0, plausible(b)
	}
	if end < len(line) || b[end-1] != '\r' || plausible(b[:end]) != nil {
		return Header{}, 0, ErrMalformed
	}
	text := string(b[len(line) : end-1])
	if text == "UNKNOWN" || len(text) > 8 && text[:8] == "UNKNOWN " {
		return Header{}, end + 1, nil
	}
	if h, ok := parseAddresses(text); ok {
		return h, end + 1, nil
	}
	return Header{}, 0, ErrMalformed
}

// plausible refuses the beginning of a line that can become none: it is text, and CR ends it.
func plausible(b []byte) error {
	for i, c := range b {
		if c < ' ' && !(c == '\r' && i == len(b)-1) || c >= 0x7f {
			return ErrMalformed
		}
	}
	return nil
}

// parseAddresses reads "TCP4 source destination port port".
func parseAddresses(text string) (h Header, ok bool) {
	var words [5]string
	for i := range words {
		w, rest := text, ""
		if at := indexSpace(text); i < len(words)-1 {
			if at < 0 {
				return h, false
			}
			w, rest = text[:at], text[at+1:]
		}
		words[i], text = w, rest
	}
	var end [2]netip.AddrPort
	for i := range end {
		a, err := netip.ParseAddr(words[1+i])
		if err != nil || a.Zone() != "" || a.Is4() != (words[0] == "TCP4") {
			return h, false
		}
		port, ok := parsePort(words[3+i])
		if !ok {
			return h, false
		}
		end[i] = netip.AddrPortFrom(a.Unmap(), port)
	}
	if words[0] != "TCP4" && words[0] != "TCP6" {
		return h, false
	}
	return Header{end[0], end[1]}, true
}

func indexSpace(s string) int {
	for i := range len(s) {
		if s[i] == ' ' {
			return i
		}
	}
	return -1
}

// parsePort reads a decimal number without sign and leading zeros.
func parsePort(s string) (uint16, bool) {
	if s == "" || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil
}

// What the bytes of version 2 say.
const (
	cmdLocal  = 0x20
	cmdProxy  = 0x21
	famUnspec = 0x00
	famTCP4   = 0x11
	famTCP6   = 0x21
	famUnix   = 0x31

	typeCRC32C = 0x03
)

// parseBinary reads version 2.
func parseBinary(b []byte) (h Header, n int, err error) {
	if len(b) > 12 && b[12] != cmdLocal && b[12] != cmdProxy || len(b) > 13 && addressLen(b[13]) < 0 {
		return Header{}, 0, ErrMalformed
	}
	if len(b) < fixed {
		return Header{}, 0, nil
	}
	n = fixed + int(binary.BigEndian.Uint16(b[14:]))
	addresses := addressLen(b[13])
	if b[12] == cmdLocal { // whatever its family says, there need not be addresses
		addresses = min(addresses, n-fixed)
	}
	if n > MaxHeader || n < fixed+addresses {
		return Header{}, 0, ErrMalformed
	}
	if len(b) < n {
		return Header{}, 0, nil
	}
	b = b[:n]
	if b[12] == cmdLocal {
		return Header{}, n, nil
	}
	if !checkTLVs(b, fixed+addresses) {
		return Header{}, 0, ErrMalformed
	}
	a := b[fixed:]
	switch b[13] {
	case famTCP4:
		h.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(a[0:4])), binary.BigEndian.Uint16(a[8:]))
		h.Destination = netip.AddrPortFrom(netip.AddrFrom4([4]byte(a[4:8])), binary.BigEndian.Uint16(a[10:]))
	case famTCP6:
		h.Source = netip.AddrPortFrom(netip.AddrFrom16([16]byte(a[0:16])).Unmap(), binary.BigEndian.Uint16(a[32:]))
		h.Destination = netip.AddrPortFrom(netip.AddrFrom16([16]byte(a[16:32])).Unmap(), binary.BigEndian.Uint16(a[34:]))
	}
	return h, n, nil
}

// addressLen is the length of the addresses of a family; negative: not of a stream.
func addressLen(family byte) int {
	switch family {
	case famUnspec:
		return 0
	case famTCP4:
		return 12
	case famTCP6:
		return 36
	case famUnix:
		return 216
	}
	return -1
}

// checkTLVs reports whether what follows the addresses is a list of TLVs, and whether the
// checksum among them, if there is one, is right.
func checkTLVs(b []byte, at int) bool {
	for at < len(b) {
		if at+3 > len(b) {
			return false
		}
		length := int(binary.BigEndian.Uint16(b[at+1:]))
		value := at + 3
		if value+length > len(b) {
			return false
		}
		if b[at] == typeCRC32C && (length != 4 || binary.BigEndian.Uint32(b[value:]) != checksum(b, value)) {
			return false
		}
		at = value + length
	}
	return true
}

// checksum is the CRC32C of a header whose checksum stands at value, taken as zeros.
func checksum(b []byte, value int) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, b[:value])
	sum = crc32.Update(sum, table, []byte{0, 0, 0, 0})
	return crc32.Update(sum, table, b[value+4:])
}

// Append writes a header of that version, 1 or 2.
func Append(dst []byte, version int, h Header) []byte {
	src, to := h.Source.Addr().Unmap(), h.Destination.Addr().Unmap()
	four := src.Is4() && to.Is4()
	if version == 1 {
		if !h.Known() {
			return append(dst, "PROXY UNKNOWN\r\n"...)
		}
		return appendLine(dst, h, four)
	}
	dst = append(dst, signature...)
	if !h.Known() {
		return append(dst, cmdLocal, famUnspec, 0, 0)
	}
	if four {
		s, d := src.As4(), to.As4()
		dst = append(dst, cmdProxy, famTCP4, 0, 12)
		dst = append(append(dst, s[:]...), d[:]...)
	} else {
		s, d := src.As16(), to.As16()
		dst = append(dst, cmdProxy, famTCP6, 0, 36)
		dst = append(append(dst, s[:]...), d[:]...)
	}
	dst = binary.BigEndian.AppendUint16(dst, h.Source.Port())
	return binary.BigEndian.AppendUint16(dst, h.Destination.Port())
}

func appendLine(dst []byte, h Header, four bool) []byte {
	dst = append(dst, line...)
	family := "TCP6"
	if four {
		family = "TCP4"
	}
	dst = append(dst, family...)
	for _, a := range [...]netip.Addr{h.Source.Addr().Unmap(), h.Destination.Addr().Unmap()} {
		if !four { // one family for both: an IPv4 address is written as the IPv6 one that maps it
			a = netip.AddrFrom16(a.As16())
		}
		dst = append(dst, ' ')
		dst = a.WithZone("").AppendTo(dst)
	}
	dst = strconv.AppendUint(append(dst, ' '), uint64(h.Source.Port()), 10)
	dst = strconv.AppendUint(append(dst, ' '), uint64(h.Destination.Port()), 10)
	return append(dst, "\r\n"...)
}
