//go:build nocel

package celexpr

import (
	"errors"

	"github.com/sluiceproxy/sluice/authz"
)

// Expr is an expression in a build that has no CEL: there is none.
type Expr struct{}

// absent is what is wrong with every expression in such a build.
const absent = "this build leaves CEL out (tag nocel): build without that tag, or use the other criteria"

// Compile refuses the expression.
func Compile(string) (*Expr, []Fault) { return nil, []Fault{{Line: 1, Message: absent}} }

// Facts returns nothing.
func (*Expr) Facts() Facts { return Facts{} }

// Eval refuses.
func (*Expr) Eval(*authz.Identity, *authz.Request) (bool, error) { return false, errors.New(absent) }
