package h2

// message is what a valid head says of itself.
type message struct {
	length  int64 // Content-Length, -1 without
	status  int   // of a response
	connect bool  // a request: CONNECT
}

// The pseudo-fields of RFC 9113 section 8.3 and RFC 8441 section 4, one bit each.
const (
	pseudoMethod = 1 << iota
	pseudoScheme
	pseudoAuthority
	pseudoPath
	pseudoProtocol
	pseudoStatus
)

func pseudoBit(name []byte) int {
	switch string(name) {
	case ":method":
		return pseudoMethod
	case ":scheme":
		return pseudoScheme
	case ":authority":
		return pseudoAuthority
	case ":path":
		return pseudoPath
	case ":protocol":
		return pseudoProtocol
	case ":status":
		return pseudoStatus
	}
	return 0
}

// request judges the list as a request, RFC 9113 section 8.3.1. The syntax of the authority is left to the
// caller, beyond what could not be forwarded.
func (l *fieldList) request(extended bool) (message, Reason) {
	var method, scheme, authority, path, protocol []byte
	has, i := 0, 0
	for ; i < len(l.fields) && isPseudo(l.fields[i].Name); i++ {
		f := &l.fields[i]
		bit := pseudoBit(f.Name)
		if bit == 0 || bit == pseudoStatus || has&bit != 0 || !isVisible(f.Value) {
			return message{}, MalformedPseudo
		}
		has |= bit
		switch bit {
		case pseudoMethod:
			method = f.Value
		case pseudoScheme:
			scheme = f.Value
		case pseudoAuthority:
			authority = f.Value
		case pseudoPath:
			path = f.Value
		case pseudoProtocol:
			protocol = f.Value
		}
	}
	m, host, bad := l.regular(i)
	if bad != "" {
		return m, bad
	}
	connect := string(method) == "CONNECT"
	m.connect = connect
	switch {
	case has&pseudoMethod == 0:
		return m, MalformedPseudo
	case !isToken(method):
		return m, MalformedMethod
	case protocol != nil && (!connect || !extended || !isToken(protocol)):
		return m, MalformedConnect
	case connect && (authority == nil || m.length >= 0):
		return m, MalformedConnect
	case connect && protocol == nil: // section 8.5
		if has != pseudoMethod|pseudoAuthority {
			return m, MalformedConnect
		}
	case has&(pseudoScheme|pseudoPath) != pseudoScheme|pseudoPath:
		return m, MalformedPseudo
	case string(scheme) != "http" && string(scheme) != "https":
		return m, MalformedScheme
	case path[0] != '/' && !(string(path) == "*" && string(method) == "OPTIONS"):
		return m, MalformedPath
	}
	switch { // section 8.3.1
	case authority == nil && host == nil:
		return m, MalformedHost
	case authority != nil && host != nil && !equalFold(authority, host):
		return m, MalformedHost
	}
	return m, ""
}

// asksHead reports whether a list that is too large begins as a HEAD request: the answer to it has no body.
func (l *fieldList) asksHead() bool {
	for i := range l.fields {
		if string(l.fields[i].Name) == ":method" {
			return string(l.fields[i].Value) == "HEAD"
		}
	}
	return false
}

// response judges the list as a response, RFC 9113 section 8.3.2. 101 does not exist here (section 8.6).
func (l *fieldList) response() (message, Reason) {
	if len(l.fields) == 0 || string(l.fields[0].Name) != ":status" {
		return message{}, MalformedPseudo
	}
	m, _, bad := l.regular(1)
	if bad != "" {
		return m, bad
	}
	v := l.fields[0].Value
	if len(v) != 3 || v[0] < '1' || v[0] > '9' || !isDigit(v[1]) || !isDigit(v[2]) || string(v) == "101" {
		return m, MalformedStatus
	}
	m.status = int(v[0]-'0')*100 + int(v[1]-'0')*10 + int(v[2]-'0')
	return m, ""
}

// trailers judges the list as trailers: no pseudo-fields, and nothing that would frame or route the message.
func (l *fieldList) trailers() Reason {
	m, host, bad := l.regular(0)
	switch {
	case bad != "":
		return bad
	case m.length >= 0 || host != nil:
		return MalformedTrailers
	}
	return ""
}

// regular judges the fields from i on, which are no pseudo-fields (RFC 9113 sections 8.2.1 and 8.2.2), and joins the pieces
// of Cookie.
func (l *fieldList) regular(i int) (m message, host []byte, bad Reason) {
	m.length = -1
	for ; i < len(l.fields); i++ {
		f := &l.fields[i]
		if isPseudo(f.Name) {
			return m, host, MalformedPseudo
		}
		if !isName(f.Name) {
			return m, host, MalformedName
		}
		if !isValue(f.Value) {
			return m, host, MalformedValue
		}
		switch string(f.Name) {
		case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
			return m, host, MalformedHop
		case "te":
			if string(f.Value) != "trailers" {
				return m, host, MalformedHop
			}
		case "host":
			if host != nil || len(f.Value) == 0 {
				return m, host, MalformedHost
			}
			host = f.Value
		case "content-length":
			n, ok := parseLength(f.Value)
			if !ok || m.length >= 0 {
				return m, host, MalformedLength
			}
			m.length = n
		}
	}
	l.joinCookies()
	return m, host, ""
}

func isPseudo(name []byte) bool { return len(name) > 0 && name[0] == ':' }

// parseLength reads 1*DIGIT below 2^63, RFC 9110 section 8.6.
func parseLength(b []byte) (n int64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		if !isDigit(c) || n > (1<<63-1-9)/10 {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
