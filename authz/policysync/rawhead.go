package policysync

import (
	"bytes"
	"errors"
	"fmt"
)

// Bounds of the signatures of a head.
const (
	maxSignatures = 16
	maxSignature  = 4 << 10 // bytes; the comments are most of it
	signatureMark = "untrusted comment: "
)

// SplitHead cuts a raw head into what was signed and the signatures over it. A raw head is
// the manifest as JSON with a newline at its end, and behind it any number of minisign
// signatures of four lines each. No line of JSON begins like a signature, since a string
// holds no newline, so that it needs no parser to see where the manifest ends; one without
// signatures is the whole of it, and may lack the newline. Both are parts of raw.
func SplitHead(raw []byte) (manifest []byte, signatures [][]byte, err error) {
	rest := []byte(nil)
	if bytes.HasPrefix(raw, []byte(signatureMark)) {
		return nil, nil, errors.New("the head has signatures and no manifest")
	}
	manifest = raw
	if i := bytes.Index(raw, []byte("\n"+signatureMark)); i >= 0 {
		manifest, rest = raw[:i+1:i+1], raw[i+1:]
	}
	for len(rest) > 0 {
		if len(signatures) == maxSignatures {
			return nil, nil, fmt.Errorf("the head has more than %d signatures", maxSignatures)
		}
		end, lines := 0, 0
		for lines < 4 && end < len(rest) {
			n := bytes.IndexByte(rest[end:], '\n')
			if n < 0 {
				n = len(rest) - end - 1 // the last line of all may lack its newline
			}
			end, lines = end+n+1, lines+1
		}
		one := rest[:end:end]
		switch {
		case !bytes.HasPrefix(one, []byte(signatureMark)):
			return nil, nil, fmt.Errorf("what follows signature %d of the head is none", len(signatures))
		case lines < 4:
			return nil, nil, fmt.Errorf("signature %d of the head is cut short", len(signatures)+1)
		case len(one) > maxSignature:
			return nil, nil, fmt.Errorf("signature %d of the head has %d bytes; at most %d", len(signatures)+1, len(one), maxSignature)
		}
		signatures, rest = append(signatures, one), rest[end:]
	}
	return manifest, signatures, nil
}

// JoinHead is the inverse of SplitHead: the manifest, which ends in a newline, and the
// signatures over it.
func JoinHead(manifest []byte, signatures ...[]byte) []byte {
	raw := bytes.Clone(manifest)
	for _, s := range signatures {
		raw = append(append(raw, bytes.TrimSuffix(s, []byte("\n"))...), '\n')
	}
	return raw
}
