//go:build !nocel

package celexpr

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"

	"github.com/sluiceproxy/sluice/authz"
)

// Expr is a compiled expression: immutable, safe for concurrent use.
type Expr struct {
	program cel.Program
	facts   Facts
}

// kinds are the types of the variables, by their names in CEL.
var kinds = map[string]*cel.Type{
	"string":                    cel.StringType,
	"list(string)":              cel.ListType(cel.StringType),
	"map(string, list(string))": cel.MapType(cel.StringType, cel.ListType(cel.StringType)),
	"net.IP":                    ext.IPType,
	"timestamp":                 cel.TimestampType,
}

var environment = sync.OnceValues(func() (*cel.Env, error) {
	opts := []cel.EnvOption{
		ext.Network(), ext.Strings(ext.StringsVersion(4)), ext.Sets(),
		cel.ParserExpressionSizeLimit(MaxSize), cel.ParserRecursionLimit(maxDepth),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateDurationLiterals(), cel.ValidateHomogeneousAggregateLiterals()),
	}
	for _, v := range variables {
		opts = append(opts, cel.Variable(v.Name, kinds[v.Type]))
	}
	return cel.NewEnv(opts...)
})

// Compile checks and compiles an expression.
func Compile(text string) (*Expr, []Fault) {
	env, err := environment()
	if err != nil {
		panic("BUG: celexpr: " + err.Error())
	}
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		var faults []Fault
		for _, e := range issues.Errors() {
			faults = append(faults, Fault{max(e.Location.Line(), 1), max(e.Location.Column(), 0), e.Message})
		}
		return nil, faults
	}
	whole := func(format string, args ...any) (*Expr, []Fault) {
		return nil, []Fault{{Line: 1, Message: fmt.Sprintf(format, args...)}}
	}
	if ast.OutputType() != cel.BoolType {
		return whole("the expression gives %s, and has to give bool", cel.FormatCELType(ast.OutputType()))
	}
	known, faults := inspect(ast)
	if len(faults) > 0 {
		return nil, faults
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(MaxCost), cel.CostTracking(known), cel.OptimizeRegex(known.optimizations()...))
	if err != nil {
		return whole("%v", err)
	}
	e := &Expr{program: program}
	for _, ref := range ast.NativeRep().ReferenceMap() {
		e.facts.add(strings.TrimPrefix(ref.Name, ".")) // ".user" is user
	}
	return e, nil
}

func (f *Facts) add(name string) {
	for i := range variables {
		f.Identity = f.Identity || variables[i].Name == name && variables[i].Identity
	}
	switch name {
	case "groups":
		f.Groups = true
	case "claims":
		f.Claims = true
	case "source_ip":
		f.SourceIP = true
	case "method":
		f.Method = true
	case "path":
		f.Path = true
	case "query":
		f.Query = true
	case "now":
		f.Time = true
	}
}

// Facts returns what the expression looks at.
func (e *Expr) Facts() Facts { return e.facts }

var errNotBool = errors.New("the expression gave no bool")

// Eval evaluates the expression. id may only be nil if no fact says that an identity is looked at. Every
// error means that nothing is known.
func (e *Expr) Eval(id *authz.Identity, req *authz.Request) (bool, error) {
	out, _, err := e.program.Eval(&input{id, req})
	if err != nil {
		return false, err
	}
	met, ok := out.(types.Bool)
	if !ok {
		return false, errNotBool
	}
	return bool(met), nil
}
