package websocket

// Code is the status code of a Close frame.
type Code uint16

// The codes that we send (RFC 6455 section 7.4.1 and the registry of IANA).
const (
	GoingAway       Code = 1001 // an endpoint goes away: a server that stops
	PolicyViolation Code = 1008 // whoever it is may not, or no longer
	ServiceRestart  Code = 1012 // the service restarts: a client may connect again, best after a random while
)

// maxReason is what fits into a control frame beside the code.
const maxReason = maxControl - 2

// AppendClose appends a Close frame. reason is UTF-8, and cut at maxReason bytes. mask is the
// key of a frame that goes to a server, which has to be unpredictable (section 5.3); nil is for
// one that goes to a client.
func AppendClose(dst []byte, code Code, reason string, mask *[4]byte) []byte {
	reason = reason[:min(len(reason), maxReason)]
	second := byte(2 + len(reason))
	if mask != nil {
		second |= 0x80
	}
	dst = append(dst, 0x80|opClose, second)
	if mask != nil {
		dst = append(dst, mask[:]...)
	}
	from := len(dst)
	dst = append(dst, byte(code>>8), byte(code))
	dst = append(dst, reason...)
	if mask != nil {
		for i := range dst[from:] {
			dst[from+i] ^= mask[i%4]
		}
	}
	return dst
}
