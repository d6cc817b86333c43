package authz

import "bytes"

// Navigates reports whether a request is a person's browser that goes to a page, and not a script's, a form's, a tool's or a
// call: only such a one is shown pages and sent to a login. Browsers say so (Fetch Metadata: Sec-Fetch-Mode navigate, and
// Sec-Fetch-Dest of a frame or a document); of others a GET or HEAD that names text/html among what it accepts is taken for one.
func (r *Request) Navigates() bool {
	if r.Fields == nil || r.Method != "GET" && r.Method != "HEAD" {
		return false
	}
	if _, n := r.Fields.Field("upgrade"); n > 0 { // the handshake of a WebSocket
		return false
	}
	if mode, n := r.Fields.Field("sec-fetch-mode"); n > 0 {
		return n == 1 && string(mode) == "navigate"
	}
	if _, n := r.Fields.Field("x-requested-with"); n > 0 {
		return false
	}
	accept, n := r.Fields.Field("accept")
	return n == 1 && bytes.Contains(bytes.ToLower(accept), []byte("text/html"))
}
