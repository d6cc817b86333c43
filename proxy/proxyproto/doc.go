// Package proxyproto reads and writes the header of the PROXY protocol, versions 1 and 2,
// with which a proxy tells the next one whom a connection comes from. No I/O: it deals in
// bytes that are there.
//
//	h, n, err := proxyproto.Parse(b)      // n bytes were the header; 0 without error: read more
//	if err != nil {
//		return err                    // not a header: nothing of the connection can be believed
//	}
//	b = b[n:]                             // what follows is the client's
//	out = proxyproto.Append(nil, 2, h)    // for the next hop
//
// Guarantees: what is no header is refused with the first byte that shows it; a header is
// at most [MaxHeader] bytes; what Parse accepts does not depend on the pieces in which it
// came. Limits: stream families only; of the TLVs of version 2 only the checksum is
// looked at, and the others are skipped.
package proxyproto
