//go:build !nocel

package celexpr

import (
	"fmt"
	"regexp"
	"regexp/syntax"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// CEL counts the steps of a call after it was made, and a call of a function of an extension as one step
// whatever it does. Paths and queries are a client's, and may have 16 KiB: what may take a long time for
// such a string, or make a longer one of it, is therefore refused at load, or before it is called.

const (
	maxProgram = 1000    // instructions of a pattern
	maxMatch   = 200_000 // instructions times bytes of one call: a few milliseconds at most
)

// unbounded are functions of which one call may take time, or make a string, as long as one argument times another.
var unbounded = map[string]bool{"replace": true, "join": true, "format": true, "indexOf": true, "lastIndexOf": true, "strings.quote": true}

// patterns has the instructions of each pattern of an expression.
type patterns map[string]int

// inspect finds the patterns of an expression, or what of it has no bound.
func inspect(a *cel.Ast) (patterns, []Fault) {
	found, faults := patterns{}, []Fault(nil)
	ast.PostOrderVisit(a.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind {
			return
		}
		fault := func(format string, args ...any) {
			at := a.NativeRep().SourceInfo().GetStartLocation(e.ID())
			faults = append(faults, Fault{max(at.Line(), 1), max(at.Column(), 0), fmt.Sprintf(format, args...)})
		}
		call := e.AsCall()
		if err := misspelt(call); err != nil {
			fault("%v", err)
		}
		switch name := call.FunctionName(); {
		case unbounded[name]:
			fault("%s is not offered: nothing bounds what it costs", name)
		case name == "matches":
			text, ok := literal(call)
			if !ok {
				fault("the pattern of matches has to be written out")
				return
			}
			n, err := instructions(text)
			switch {
			case err != nil:
				fault("%v", err)
			case n > maxProgram:
				fault("the pattern has %d instructions; at most %d", n, maxProgram)
			}
			found[text] = n
		}
	}))
	return found, faults
}

func instructions(pattern string) (int, error) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	prog, err := syntax.Compile(re.Simplify())
	if err != nil {
		return 0, err
	}
	return len(prog.Inst), nil
}

// optimizations compile patterns once, and have matches look at no string that would take too long: as a function, and as
// a method. Named by overload they go before CEL's own.
func (p patterns) optimizations() []*interpreter.RegexOptimization {
	return []*interpreter.RegexOptimization{p.optimization("matches"), p.optimization("matches_string")}
}

func (p patterns) optimization(overload string) *interpreter.RegexOptimization {
	return &interpreter.RegexOptimization{Function: "matches", OverloadID: overload, RegexIndex: 1,
		Factory: func(call interpreter.InterpretableCall, pattern string) (interpreter.InterpretableCall, error) {
			re, err := regexp.Compile(pattern)
			if err != nil {
				return nil, err
			}
			longest := maxMatch / max(p[pattern], 1)
			return interpreter.NewCall(call.ID(), call.Function(), call.OverloadID(), call.Args(), func(args ...ref.Val) ref.Val {
				s, ok := args[0].(types.String)
				switch {
				case !ok:
					return types.MaybeNoSuchOverloadErr(args[0])
				case len(s) > longest:
					return types.NewErr("a string of %d bytes is too long for the pattern", len(s))
				}
				return types.Bool(re.MatchString(string(s)))
			}), nil
		}}
}

// CallCost counts what CEL takes for one step, and is not: what grows with its strings, or reads a time zone.
func (p patterns) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	if types.IsError(result) { // it was not made
		one := uint64(1)
		return &one
	}
	length := func(per int) *uint64 {
		n := 1
		for _, a := range args {
			if s, ok := a.(types.String); ok {
				n += len(s) / per
			}
		}
		c := uint64(n)
		return &c
	}
	switch function {
	case "matches":
		s, _ := args[0].(types.String)
		pattern, _ := args[1].(types.String)
		c := uint64(1 + len(s)*p[string(pattern)]/10)
		return &c
	case "charAt", "lowerAscii", "upperAscii", "trim", "substring", "reverse", "split":
		return length(5)
	case "size":
		return length(50)
	}
	if zoned[function] && len(args) == 2 {
		c := uint64(1000)
		return &c
	}
	return nil
}
