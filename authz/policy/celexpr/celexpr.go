// Package celexpr compiles expressions of the Common Expression Language (CEL,
// https://cel.dev) that a rule may have as a criterion:
//
//	e, faults := celexpr.Compile(`method == "GET" || "admins" in groups`)
//	met, err := e.Eval(identity, request) // an error refuses
//
// Expressions see the variables of [Variables], are typed and have to give a bool. They are
// pure, and bounded in what they cost: at load by their size, when they run by CEL's own
// count of steps. What needs an identity is known before, see [Expr.Facts].
//
// CEL and what it needs were a quarter of what there was to compile when it was measured: a build with the tag nocel leaves it
// out, and refuses expressions when they are loaded.
package celexpr

import "slices"

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
}

var variables = []Variable{
	{"user", "string", true, "the stable ID of who asks"},
	{"email", "string", true, "of the user, ASCII letters in lower case; may be empty"},
	{"domain", "string", true, "what follows the @ of the email"},
	{"groups", "list(string)", true, "of the user"},
	{"claims", "map(string, list(string))", true, "of the user, by path"},
	{"method", "string", false, "of the request"},
	{"host", "string", false, "in lower case, without a port"},
	{"path", "string", false, "in its normal form"},
	{"query", "string", false, "as it was sent, without the question mark"},
	{"route", "string", false, "the name of the route"},
	{"source_ip", "net.IP", false, "of the client, behind trusted proxies"},
	{"now", "timestamp", false, "when it is decided"},
}

// Variables returns what expressions may look at.
func Variables() []Variable { return slices.Clone(variables) }

// Facts is what an expression looks at.
type Facts struct {
	Identity, Groups, Claims, SourceIP, Method, Path, Query, Time bool
}

// Fault is what is wrong with an expression, and where: lines count from 1, columns from 0.
type Fault struct {
	Line, Column int
	Message      string
}
