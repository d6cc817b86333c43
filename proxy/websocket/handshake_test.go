package websocket

import (
	"bytes"
	"testing"
)

// The example of RFC 6455 section 1.3.
func TestAccept(t *testing.T) {
	if got := string(AppendAccept([]byte("a: "), []byte("dGhlIHNhbXBsZSBub25jZQ=="))); got != "a: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("got %q", got)
	}
}

func TestKey(t *testing.T) {
	key := AppendKey(nil, [16]byte{1, 2, 3})
	if !ValidKey(key) || !bytes.HasPrefix(key, []byte("AQID")) {
		t.Errorf("%q", key)
	}
	for _, bad := range []string{"", "short", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25jZ!==", "dGhlIHNhbXBsZSBub25jZTEy", " GhlIHNhbXBsZSBub25jZQ=="} {
		if ValidKey([]byte(bad)) {
			t.Errorf("%q is valid", bad)
		}
	}
}
