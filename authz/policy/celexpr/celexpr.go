// Package celexpr compiles expressions of the Common Expression Language (CEL,
// https://cel.dev) that a rule may have as a criterion:
//
//	e, faults := celexpr.Compile(`method == "GET" || "admins" in groups`)
//	met, err := e.Eval(identity, request) // an error refuses
//
// Expressions see the variables of [Variables], are typed and have to give a bool. They are
// pure, and bounded in what they cost: at load by their size, when they run by CEL's own
// count of steps. What needs an identity is known before, see [Expr.Facts].
package celexpr

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"

	"github.com/sluiceproxy/sluice/authz"
)

// Limits of one expression.
const (
	MaxSize  = 4096   // characters
	MaxCost  = 20_000 // steps, each time: a few milliseconds at most
	maxDepth = 32
)

// Variable is something that expressions may look at.
type Variable struct {
	Name     string
	Type     string
	Identity bool // belongs to who asks, and is not known without
	Meaning  string
	kind     *cel.Type
}

var variables = []Variable{
	{"user", "string", true, "the stable ID of who asks", cel.StringType},
	{"email", "string", true, "of the user, ASCII letters in lower case; may be empty", cel.StringType},
	{"domain", "string", true, "what follows the @ of the email", cel.StringType},
	{"groups", "list(string)", true, "of the user", cel.ListType(cel.StringType)},
	{"claims", "map(string, list(string))", true, "of the user, by path", cel.MapType(cel.StringType, cel.ListType(cel.StringType))},
	{"method", "string", false, "of the request", cel.StringType},
	{"host", "string", false, "in lower case, without a port", cel.StringType},
	{"path", "string", false, "in its normal form", cel.StringType},
	{"query", "string", false, "as it was sent, without the question mark", cel.StringType},
	{"route", "string", false, "the name of the route", cel.StringType},
	{"source_ip", "net.IP", false, "of the client, behind trusted proxies", ext.IPType},
	{"now", "timestamp", false, "when it is decided", cel.TimestampType},
}

// Variables returns what expressions may look at.
func Variables() []Variable { return slices.Clone(variables) }

// Facts is what an expression looks at.
type Facts struct {
	Identity, Groups, Claims, SourceIP, Method, Path, Query, Time bool
}

// Expr is a compiled expression: immutable, safe for concurrent use.
type Expr struct {
	program cel.Program
	facts   Facts
}

// Fault is what is wrong with an expression, and where: lines count from 1, columns from 0.
type Fault struct {
	Line, Column int
	Message      string
}

var environment = sync.OnceValues(func() (*cel.Env, error) {
	opts := []cel.EnvOption{
		ext.Network(), ext.Strings(ext.StringsVersion(4)), ext.Sets(),
		cel.ParserExpressionSizeLimit(MaxSize), cel.ParserRecursionLimit(maxDepth),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateDurationLiterals(), cel.ValidateHomogeneousAggregateLiterals()),
	}
	for _, v := range variables {
		opts = append(opts, cel.Variable(v.Name, v.kind))
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
