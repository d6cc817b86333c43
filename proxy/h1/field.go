package h1

// Field is one field line. Name and Value alias the input.
type Field struct {
	Name  []byte  // as sent; compare without regard to case
	Value []byte  // without white space around it; no control bytes but HTAB
	ID    FieldID // the field, if it is one that a proxy looks at
	Hop   bool    // meant for us alone: must not be forwarded (RFC 9110 section 7.6.1)
}

// FieldID names the fields that a proxy looks at. The zero value is Other.
type FieldID uint8

// The known fields.
const (
	Other FieldID = iota
	Accept
	Authorization
	CacheControl
	Connection
	ContentEncoding
	ContentLength
	ContentRange
	ContentType
	Cookie
	Date
	Expect
	Forwarded
	Host
	HTTP2Settings
	KeepAlive
	Location
	MaxForwards
	ProxyAuthenticate
	ProxyAuthorization
	ProxyConnection
	Range
	Referer
	RetryAfter
	Server
	SetCookie
	TE
	Traceparent
	Tracestate
	Trailer
	TransferEncoding
	Upgrade
	UserAgent
	Vary
	Via
	WWWAuthenticate
	XForwardedFor
	XForwardedHost
	XForwardedProto
	XRealIP
	XRequestID
	numFieldIDs
)

// fieldNames maps an ID to its name in lower case.
var fieldNames = [numFieldIDs]string{
	Other: "", Accept: "accept", Authorization: "authorization", CacheControl: "cache-control",
	Connection: "connection", ContentEncoding: "content-encoding", ContentLength: "content-length",
	ContentRange: "content-range", ContentType: "content-type", Cookie: "cookie", Date: "date",
	Expect: "expect", Forwarded: "forwarded", Host: "host", HTTP2Settings: "http2-settings",
	KeepAlive: "keep-alive", Location: "location", MaxForwards: "max-forwards",
	ProxyAuthenticate: "proxy-authenticate", ProxyAuthorization: "proxy-authorization",
	ProxyConnection: "proxy-connection", Range: "range", Referer: "referer", RetryAfter: "retry-after",
	Server: "server", SetCookie: "set-cookie", TE: "te", Traceparent: "traceparent",
	Tracestate: "tracestate", Trailer: "trailer", TransferEncoding: "transfer-encoding",
	Upgrade: "upgrade", UserAgent: "user-agent", Vary: "vary", Via: "via",
	WWWAuthenticate: "www-authenticate", XForwardedFor: "x-forwarded-for",
	XForwardedHost: "x-forwarded-host", XForwardedProto: "x-forwarded-proto", XRealIP: "x-real-ip",
	XRequestID: "x-request-id",
}

// String is the field's name in lower case, "other" for Other.
func (id FieldID) String() string {
	if id == Other || id >= numFieldIDs {
		return "other"
	}
	return fieldNames[id]
}

// fieldProps holds what the parser must know of a known field.
type fieldProps uint8

const (
	hopByHop  fieldProps = 1 << iota // never forwarded
	endToEnd                         // must not be nominated by Connection
	noTrailer                        // must not stand in a trailer section, RFC 9110 section 6.5.1
)

var props = func() (t [numFieldIDs]fieldProps) {
	// Proxy-Authorization and Proxy-Authenticate are between a client and its own
	// proxy; we are a gateway, so passing one on would show a credential to a stranger.
	for _, id := range []FieldID{Connection, HTTP2Settings, KeepAlive, ProxyAuthenticate,
		ProxyAuthorization, ProxyConnection, TE, TransferEncoding, Upgrade} {
		t[id] |= hopByHop
	}
	// RFC 9110 section 7.6.1: an option must not name a field intended for all
	// recipients. Obeying such a one would let a client strip what policy and upstream rely on.
	for _, id := range []FieldID{Authorization, CacheControl, ContentEncoding, ContentLength, ContentRange,
		ContentType, Cookie, Date, Expect, Forwarded, Host, Location, MaxForwards, Range, SetCookie,
		TransferEncoding, Vary, Via, WWWAuthenticate, XForwardedFor, XForwardedHost, XForwardedProto, XRealIP, XRequestID} {
		t[id] |= endToEnd
	}
	for id := range t {
		t[id] |= noTrailer
	}
	for _, id := range []FieldID{Other, Server, Referer, UserAgent, Accept, Traceparent, Tracestate} {
		t[id] &^= noTrailer
	}
	return t
}()

// byLength groups the known names by length, so that an unknown name costs one
// look-up and at most a few first-byte comparisons.
var byLength = func() (t [20][]FieldID) {
	for id := Other + 1; id < numFieldIDs; id++ {
		n := len(fieldNames[id])
		t[n] = append(t[n], id)
	}
	return t
}()

// identify finds the ID of a field name in any case.
func identify(name []byte) FieldID {
	if len(name) == 0 || len(name) >= len(byLength) {
		return Other
	}
	first := lower[name[0]]
	for _, id := range byLength[len(name)] {
		if known := fieldNames[id]; known[0] == first && foldEqual(name, known) {
			return id
		}
	}
	return Other
}

// find returns the first field of that name (lower case) and how many there are.
func find(fields []Field, name string) (value []byte, count int) {
	for i := range fields {
		if foldEqual(fields[i].Name, name) {
			if count == 0 {
				value = fields[i].Value
			}
			count++
		}
	}
	return value, count
}
