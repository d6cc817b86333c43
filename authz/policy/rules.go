package policy

import "net/netip"

// Rules is the access policy of a route as read. Nil means that the route has none.
type Rules struct {
	List []Rule
}

// Rule has the blocks of its two actions. An action is met if any of its blocks is.
type Rule struct {
	Allow, Deny []Expr
}

// Op is what an expression is: a block of others, or a test.
type Op uint8

// The operators. Not and Nor are Pomerium's: see the package documentation.
const (
	And  Op = iota // all are true
	Or             // any is true
	Not            // all are false
	Nor            // any is false
	Leaf           // the test
)

// Expr is a block of expressions or a single test.
type Expr struct {
	Op   Op
	List []Expr // of a block, never empty
	Test Test   // of a leaf
}

// Criterion is what a test looks at.
type Criterion uint8

// The criteria.
const (
	Accept Criterion = iota
	Reject
	AuthenticatedUser
	Email
	Domain
	User
	Groups
	Claim
	HTTPMethod
	HTTPPath
	SourceIP
	ClientCertificate
	CORSPreflight
	Date
	TimeOfDay
	DayOfWeek
	CEL
)

// Matcher is how a test compares.
type Matcher uint8

// The matchers: of strings, of lists, of addresses, of times. Accept, Reject,
// AuthenticatedUser, CORSPreflight and CEL have None.
const (
	None Matcher = iota
	Is
	IsNot // "not"
	In
	NotIn
	Contains
	StartsWith
	EndsWith
	Has     // the list has the value
	ListIs  // the list has the value and no other
	Exclude // the list does not have the value
	Within  // the address is in one of the networks
	During  // the time is in the window
)

// Test is one criterion with one matcher.
type Test struct {
	Criterion Criterion
	Matcher   Matcher
	Claim     string // path of a Claim; part of a ClientCertificate
	Values    []string
	Nets      []netip.Prefix
	Window    *Window  // of During
	CEL       *CELExpr // of CEL
}

// criteria says what each criterion's name stands for and what it may be matched with.
var criteria = map[string]struct {
	criterion Criterion
	kind      matchKind
}{
	"accept":             {Accept, matchTrue},
	"reject":             {Reject, matchTrue},
	"authenticated_user": {AuthenticatedUser, matchTrue},
	"email":              {Email, matchString},
	"domain":             {Domain, matchString},
	"user":               {User, matchString},
	"groups":             {Groups, matchList},
	"http_method":        {HTTPMethod, matchString},
	"http_path":          {HTTPPath, matchString},
	"source_ip":          {SourceIP, matchNets},
	"client_certificate": {ClientCertificate, matchCertificate},
	"cors_preflight":     {CORSPreflight, matchTrue},
	"date":               {Date, matchWindow},
	"time_of_day":        {TimeOfDay, matchWindow},
	"day_of_week":        {DayOfWeek, matchDays},
	"cel":                {CEL, matchCEL},
}

type matchKind uint8

const (
	matchTrue   matchKind = iota // the value is the word true
	matchString                  // one string is looked at
	matchList                    // a list of strings is looked at
	matchNets
	matchCertificate // see readCertificate
	matchWindow      // see readWindow
	matchDays        // see readDays
	matchCEL         // see readCEL
)

// foreign are criteria that a policy from elsewhere may have. They are refused by name:
// a rule that silently lost a criterion would be another rule.
var foreign = map[string]string{
	"invalid_client_certificate": "not supported: one that is not valid ends the handshake",
	"device":                     "not supported at all",
	"record":                     "not supported at all",
	"rego":                       "not supported at all",
	"pomerium_routes":            "not supported at all",
	"mcp_tool":                   "not supported at all",
	"ssh_username":               "not supported at all",
	"ssh_publickey":              "not supported at all",
	"group":                      "not supported; the criterion is groups",
}

var stringMatchers = map[string]Matcher{
	"is": Is, "not": IsNot, "in": In, "not_in": NotIn,
	"contains": Contains, "starts_with": StartsWith, "ends_with": EndsWith,
}

var listMatchers = map[string]Matcher{"has": Has, "is": ListIs, "exclude": Exclude}

// needsIdentity says whether a test has no answer without an identity.
func (t *Test) needsIdentity() bool {
	return t.Criterion.needsIdentity() || t.Criterion == CEL && t.CEL.expr != nil && t.CEL.expr.Facts().Identity
}

// needsIdentity says whether a criterion is about an identity alone.
func (c Criterion) needsIdentity() bool {
	switch c {
	case AuthenticatedUser, Email, Domain, User, Groups, Claim:
		return true
	}
	return false
}

// forTCP says whether a criterion can be asked of a raw TCP connection.
func (c Criterion) forTCP() bool {
	switch c {
	case Accept, Reject, SourceIP, ClientCertificate, Date, TimeOfDay, DayOfWeek:
		return true
	}
	return false
}
