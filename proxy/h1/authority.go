package h1

// SplitAuthority cuts a valid authority ("host", "host:port", "[::1]:port") into host,
// with the brackets of an IPv6 address, and port, nil if there is none.
func SplitAuthority(a []byte) (host, port []byte) {
	for i := len(a) - 1; i >= 0; i-- {
		switch c := a[i]; {
		case c == ':':
			return a[:i], a[i+1:]
		case c == ']':
			return a, nil
		}
	}
	return a, nil
}

// validAuthority accepts a host name, an IPv4 address or a bracketed IPv6 address,
// each with a port from 1 to 65535 or none. It is narrower than RFC 3986: percent
// encoding, sub-delims, zones, empty labels, and the empty host or port are refused,
// because two readers may disagree on them.
func validAuthority(a []byte) bool {
	if len(a) == 0 {
		return false
	}
	host, port := SplitAuthority(a)
	if len(host) < len(a) && !validPort(port) {
		return false
	}
	if len(host) > 0 && host[0] == '[' {
		return len(host) > 2 && host[len(host)-1] == ']' && validIPv6(host[1:len(host)-1])
	}
	return validName(host)
}

func validPort(p []byte) bool {
	n, ok := parseLength(p)
	return ok && len(p) <= 5 && 0 < n && n <= 65535
}

// validName checks labels of letters, digits, '-' and '_'; one trailing dot is allowed.
func validName(h []byte) bool {
	if len(h) > maxHost || !all(h, isHost) {
		return false
	}
	label := 0
	for i, c := range h {
		if c != '.' {
			label++
			continue
		}
		if label == 0 {
			return false
		}
		label = 0
		if i == len(h)-1 {
			return true
		}
	}
	return true
}

// validIPv6 checks the text form of RFC 4291 section 2.2 without a zone. It is here
// because net/netip would need a string, and so an allocation, for each request.
func validIPv6(b []byte) bool {
	groups, gap := 0, false
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		gap, b = true, b[2:]
		if len(b) == 0 {
			return true
		}
	}
	for {
		n := 0
		for n < len(b) && n < 5 && class[b[n]]&isHex != 0 {
			n++
		}
		if n < len(b) && b[n] == '.' {
			groups += 2 // an IPv4 tail
			return validIPv4(b) && (groups == 8 && !gap || groups < 8 && gap)
		}
		if n == 0 || n > 4 {
			return false
		}
		groups, b = groups+1, b[n:]
		if len(b) == 0 {
			return groups == 8 && !gap || groups < 8 && gap
		}
		if b[0] != ':' || len(b) == 1 || groups == 8 {
			return false
		}
		b = b[1:]
		if b[0] == ':' {
			if gap {
				return false
			}
			gap, b = true, b[1:]
			if len(b) == 0 {
				return groups < 8
			}
		}
	}
}

// validIPv4 checks four decimal octets without leading zeros.
func validIPv4(b []byte) bool {
	for octet := 0; octet < 4; octet++ {
		if octet > 0 {
			if len(b) == 0 || b[0] != '.' {
				return false
			}
			b = b[1:]
		}
		n := 0
		for n < len(b) && isDigit(b[n]) {
			n++
		}
		v, ok := parseLength(b[:n])
		if !ok || v > 255 || n > 3 || n > 1 && b[0] == '0' {
			return false
		}
		b = b[n:]
	}
	return len(b) == 0
}

// sameAuthority compares without regard to case; the default port of the scheme
// equals no port.
func sameAuthority(a, b, scheme []byte) bool {
	aHost, aPort := SplitAuthority(a)
	bHost, bPort := SplitAuthority(b)
	byDefault := "80"
	if len(scheme) == len("https") {
		byDefault = "443"
	}
	if len(aPort) == 0 {
		aPort = append(make([]byte, 0, 3), byDefault...)
	}
	if len(bPort) == 0 {
		bPort = append(make([]byte, 0, 3), byDefault...)
	}
	return foldEqualBytes(aHost, bHost) && string(aPort) == string(bPort)
}
