package policy

// Reason codes of a decision: a closed set, fit for a metric label. A criterion's code
// is given when it was the one that decided: a false one in an allow, a true one in a
// deny.
const (
	ReasonOK              = "ok"                              // allowed
	ReasonNoPolicy        = "no-policy"                       // the route has no policy
	ReasonNoRule          = "no-rule-matched"                 // no allow was met, for more than one reason
	ReasonReject          = "reject"                          // reject, or accept in a deny
	ReasonUnauthenticated = "user-unauthenticated"            // an identity is needed and there is none
	ReasonEmail           = "email-unauthorized"              // email
	ReasonDomain          = "domain-unauthorized"             // domain
	ReasonUser            = "user-unauthorized"               // user
	ReasonGroups          = "groups-unauthorized"             // groups
	ReasonClaim           = "claim-unauthorized"              // claim/<path>
	ReasonMethod          = "http-method-unauthorized"        // http_method
	ReasonPath            = "http-path-unauthorized"          // http_path
	ReasonSourceIP        = "source-ip-unauthorized"          // source_ip
	ReasonCertificate     = "client-certificate-unauthorized" // client_certificate
	ReasonCORSPreflight   = "cors-preflight-unauthorized"     // cors_preflight
	ReasonDate            = "date-unauthorized"               // date
	ReasonTimeOfDay       = "time-of-day-unauthorized"        // time_of_day
	ReasonDayOfWeek       = "day-of-week-unauthorized"        // day_of_week
	ReasonCEL             = "cel-unauthorized"                // cel
	ReasonError           = "evaluation-error"                // a criterion could not be evaluated
	ReasonAuthenticated   = "user-authenticated"              // authenticated_user in a deny, or under not
)

// Reasons returns every reason code: what a metric's label may be.
func Reasons() []string { return append([]string(nil), reasons[:]...) }

// reason is a code as an index into reasons.
type reason uint8

const (
	rOK reason = iota
	rNoPolicy
	rNoRule
	rReject
	rUnauthenticated
	rEmail
	rDomain
	rUser
	rGroups
	rClaim
	rMethod
	rPath
	rSourceIP
	rCertificate
	rCORSPreflight
	rDate
	rTimeOfDay
	rDayOfWeek
	rCEL
	rError
	rAuthenticated
	reasonCount
)

var reasons = [reasonCount]string{
	rOK: ReasonOK, rNoPolicy: ReasonNoPolicy, rNoRule: ReasonNoRule, rReject: ReasonReject,
	rUnauthenticated: ReasonUnauthenticated, rEmail: ReasonEmail, rDomain: ReasonDomain, rUser: ReasonUser,
	rGroups: ReasonGroups, rClaim: ReasonClaim, rMethod: ReasonMethod, rPath: ReasonPath,
	rSourceIP: ReasonSourceIP, rCertificate: ReasonCertificate, rCORSPreflight: ReasonCORSPreflight,
	rDate: ReasonDate, rTimeOfDay: ReasonTimeOfDay, rDayOfWeek: ReasonDayOfWeek, rCEL: ReasonCEL, rError: ReasonError, rAuthenticated: ReasonAuthenticated,
}
