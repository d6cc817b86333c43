package policy

import (
	"encoding/binary"
	"net/netip"
)

// print appends a form of the rules that is equal for equal rules and for no others:
// every list and string has its length before it.
func (r *Rules) print(b []byte) []byte {
	if r == nil {
		return append(b, 0)
	}
	b = binary.AppendUvarint(append(b, 1), uint64(len(r.List)))
	for i := range r.List {
		b = printExprs(b, r.List[i].Deny)
		b = printExprs(b, r.List[i].Allow)
	}
	return b
}

func printExprs(b []byte, list []Expr) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for i := range list {
		e := &list[i]
		b = append(b, byte(e.Op))
		if e.Op != Leaf {
			b = printExprs(b, e.List)
			continue
		}
		t := &e.Test
		b = append(b, byte(t.Criterion), byte(t.Matcher))
		b = printString(b, t.Claim)
		if t.CEL != nil {
			b = printString(b, t.CEL.Text)
		}
		b = printWindow(printSet(b, t.Values, t.Nets), t.Window)
	}
	return b
}

func printSet(b []byte, values []string, nets []netip.Prefix) []byte {
	b = binary.AppendUvarint(b, uint64(len(values)))
	for _, v := range values {
		b = printString(b, v)
	}
	b = binary.AppendUvarint(b, uint64(len(nets)))
	for _, n := range nets {
		b = append(append(b, byte(n.Addr().BitLen()), byte(n.Bits())), n.Addr().AsSlice()...)
	}
	return b
}

func printString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
