package proxy

import "bytes"

// methodID is a request method as a small number: for labels and for rules that
// depend on it.
type methodID uint8

const (
	methodOther methodID = iota
	methodGET
	methodHEAD
	methodPOST
	methodPUT
	methodDELETE
	methodPATCH
	methodOPTIONS
	methodTRACE
	methodCONNECT
	numMethods
)

var methodLabels = [numMethods]string{"_OTHER", "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT"}

// String is the label of the method: itself if known, else "_OTHER".
func (m methodID) String() string { return methodLabels[m] }

// idempotent per RFC 9110 section 9.2.2; an unknown method is not.
func (m methodID) idempotent() bool {
	switch m {
	case methodGET, methodHEAD, methodPUT, methodDELETE, methodOPTIONS, methodTRACE:
		return true
	case methodOther, methodPOST, methodPATCH, methodCONNECT:
	}
	return false
}

func methodOf(m []byte) methodID {
	for i := methodGET; i < numMethods; i++ {
		if string(m) == methodLabels[i] {
			return i
		}
	}
	return methodOther
}

// name is the method as sent; only an unknown one allocates.
func (m methodID) name(sent []byte) string {
	if m == methodOther {
		return string(sent)
	}
	return methodLabels[m]
}

// miscased reports whether m is a known method in other letters. Methods are
// case-sensitive (RFC 9110 section 9.1), but servers exist that fold them: "delete"
// would pass a rule about DELETE and be carried out as one.
func miscased(m []byte) bool {
	for i := methodGET; i < numMethods; i++ {
		if len(m) == len(methodLabels[i]) && bytes.EqualFold(m, []byte(methodLabels[i])) {
			return true
		}
	}
	return false
}
