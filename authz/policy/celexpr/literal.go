//go:build !nocel

package celexpr

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"cel.dev/cel-go/common/ast"
)

// zoned are functions that take a time zone as an argument.
var zoned = map[string]bool{"getFullYear": true, "getMonth": true, "getDate": true, "getDayOfMonth": true, "getDayOfWeek": true,
	"getDayOfYear": true, "getHours": true, "getMinutes": true, "getSeconds": true, "getMilliseconds": true}

// literal returns the last argument of a call, if that is a string that is written out.
func literal(call ast.CallExpr) (string, bool) {
	args := call.Args()
	if len(args) == 0 || args[len(args)-1].Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := args[len(args)-1].AsLiteral().Value().(string)
	return s, ok
}

// misspelt says what is wrong with an argument that is written out, and that CEL would only find when it runs: a rule that
// errs each time is one that nobody meant.
func misspelt(call ast.CallExpr) error {
	name := call.FunctionName()
	text, ok := literal(call)
	switch {
	case zoned[name] && len(call.Args()) > 0 && !ok:
		return fmt.Errorf("the time zone of %s has to be written out", name)
	case zoned[name] && ok:
		return checkZone(text)
	case !ok:
	case name == "ip":
		_, err := netip.ParseAddr(text)
		return err
	case name == "cidr", name == "containsCIDR" && call.IsMemberFunction():
		_, err := netip.ParsePrefix(text)
		return err
	case name == "containsIP" && call.IsMemberFunction():
		_, err := netip.ParseAddr(text)
		return err
	}
	return nil
}

// checkZone takes a name, or an offset such as +02:00.
func checkZone(text string) error {
	if strings.Contains(text, ":") {
		if _, err := time.Parse("-07:00", "+"+strings.TrimLeft(text, "+-")); err != nil {
			return fmt.Errorf("%q is no offset; write +02:00", text)
		}
		return nil
	}
	if _, err := time.LoadLocation(text); err != nil || text == "" || text == "Local" { // another one on each host
		return fmt.Errorf("%q is no time zone; write UTC or a name such as Europe/Berlin", text)
	}
	return nil
}
