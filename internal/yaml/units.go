package yaml

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// duration reads "30s". A bare number is refused, because each program has another
// unit in mind; so is a sign, because no setting here runs backwards.
func (r *Reader) duration(n Node, v reflect.Value) {
	switch {
	case n.kind == Number && zero(n.text):
		v.SetInt(0)
		return
	case n.kind == Number:
		r.FaultOf(NeedsUnit, n, "number %s needs a unit, for example \"%ss\"", n.text, n.text)
		return
	case !r.Expect(n, String):
		return
	}
	d, err := time.ParseDuration(n.text)
	switch {
	case err == nil && d >= 0:
		v.SetInt(int64(d))
	case err == nil:
		r.FaultOf(OutOfRange, n, "%s is negative", n.describe())
	case onlyDigits(n.text):
		r.FaultOf(NeedsUnit, n, "number %s needs a unit, for example \"%ss\"", n.text, n.text)
	default:
		r.Fault(n, "%s is not a duration such as \"30s\", \"1m30s\" or \"250ms\"", n.describe())
	}
}

// time reads an instant of RFC 3339, which has its zone.
func (r *Reader) time(n Node, v reflect.Value) {
	if !r.Expect(n, String) {
		return
	}
	at, err := time.Parse(time.RFC3339, n.text)
	if err != nil {
		r.Fault(n, "%s is not a time such as \"2027-01-31T00:00:00Z\"", n.describe())
		return
	}
	v.Set(reflect.ValueOf(at))
}

// sizeUnits are tried in order: "B" ends them all.
var sizeUnits = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

func (r *Reader) size(n Node, v reflect.Value) {
	switch {
	case n.kind == Number && zero(n.text):
		v.SetInt(0)
		return
	case n.kind == Number:
		r.FaultOf(NeedsUnit, n, "number %s needs a unit, for example \"%sMiB\"", n.text, n.text)
		return
	case !r.Expect(n, String):
		return
	}
	if s, err := ParseSize(n.text); err == nil {
		v.SetInt(int64(s))
		return
	}
	if onlyDigits(n.text) {
		r.FaultOf(NeedsUnit, n, "number %s needs a unit, for example \"%sMiB\"", n.text, n.text)
		return
	}
	r.Fault(n, "%s is not a size such as \"64KiB\" or \"10MiB\"", n.describe())
}

// ParseSize reads a size with its unit. The error is strconv's.
func ParseSize(text string) (Size, error) {
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		if !onlyDigits(digits) {
			return 0, strconv.ErrSyntax
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n > math.MaxInt64/u.bytes {
			return 0, strconv.ErrRange
		}
		return Size(n * u.bytes), nil
	}
	return 0, strconv.ErrSyntax
}

// String returns the size with the largest binary unit that divides it.
func (s Size) String() string {
	for i := 3; i >= 0; i-- {
		if u := sizeUnits[i]; s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

func zero(s string) bool { return strings.Trim(s, "0") == "" }

func onlyDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
