package route

import "fmt"

// Spec is a route as configured.
type Spec struct {
	Name    string   // for messages
	Hosts   []string // "app.example.com", "*.example.com", "[::1]" or "*"; empty is any host
	Path    PathSpec
	Methods []string // case-sensitive; empty is every method
}

// PathSpec is an exact path or a prefix, never both. The zero value is every path.
type PathSpec struct {
	Exact  string
	Prefix string
}

// The limits of a table. They are far beyond what an operator writes and keep every
// lookup bounded.
const (
	maxHostsPerRoute  = 1024
	maxMethodsPerPath = 64
)

// ConflictError says that two routes claim the same requests.
type ConflictError struct {
	First, Second int    // indexes of the specs
	Names         string // `"a" and "b"`
	Claim         string // "GET app.example.com/a"
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("routes %s both claim %s", e.Names, e.Claim)
}

// SpecError is a fault in one spec.
type SpecError struct {
	Index int    // of the spec
	Name  string // of the route
	Field string // "hosts[1]", "path.prefix", "methods[0]"
	Err   error
}

func (e *SpecError) Error() string {
	return fmt.Sprintf("route %q: %s: %v", e.Name, e.Field, e.Err)
}

func (e *SpecError) Unwrap() error { return e.Err }
