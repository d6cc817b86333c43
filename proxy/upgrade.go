package proxy

import "bytes"

// mayUpgrade reports whether a connection may become a tunnel of these protocols (the
// value of an Upgrade field; nil: none asked for). A tunnel of another HTTP would carry
// requests past route, authentication and policy ("h2c smuggling"), and one of TLS
// would hide them; such a wish is ignored, which RFC 9110 section 7.8 allows, and the
// request is forwarded without it.
func mayUpgrade(protocols []byte) bool {
	if protocols == nil {
		return false
	}
	for len(protocols) > 0 {
		var p []byte
		p, protocols, _ = bytes.Cut(protocols, []byte{','})
		name, _, _ := bytes.Cut(bytes.Trim(p, " \t"), []byte{'/'})
		for _, no := range [...]string{"h2c", "h2", "h3", "http", "tls"} {
			if len(name) == len(no) && bytes.EqualFold(name, []byte(no)) {
				return false
			}
		}
	}
	return true
}

// answersUpgrade reports whether each protocol that a 101 switches to was asked for by
// the head that was sent, whose last field is then Upgrade (RFC 9110 section 7.8).
func answersUpgrade(head, switched []byte) bool {
	i := bytes.LastIndex(head, []byte("\r\nUpgrade: "))
	if i < 0 {
		return false
	}
	asked := bytes.TrimSpace(head[i+len("\r\nUpgrade: "):])
	for len(switched) > 0 {
		var p []byte
		p, switched, _ = bytes.Cut(switched, []byte{','})
		if p = bytes.Trim(p, " \t"); len(p) > 0 && !listed(asked, p) {
			return false
		}
	}
	return true
}

// listed reports whether a comma-separated list holds an element, whatever its case.
func listed(list, element []byte) bool {
	for len(list) > 0 {
		var p []byte
		p, list, _ = bytes.Cut(list, []byte{','})
		if bytes.EqualFold(bytes.Trim(p, " \t"), element) {
			return true
		}
	}
	return false
}
