package authz

// Field is a field of an answer. Its name is written as given.
type Field struct{ Name, Value string }

// Answer is a response that a stage or a site of the proxy's own gives instead of an upstream.
type Answer struct {
	Status int    // 200 to 599
	Reason string // why, from the closed set of reasons of the proxy: a label of metrics and a word of access records
	// Fields go out as they are, in their order. Those that frame a message (Content-Length, Transfer-Encoding, Connection,
	// Date) are the proxy's to write and must not be among them.
	Fields []Field
	Body   []byte // as Content-Type among the fields says; nil: the proxy's own text of the reason
}

// Greeter is an Authenticator that does not only ask for a credential but says how to get one: a login. Where an
// exchange would be answered 401, the greeters of its route are asked in their order, and the first answer is sent.
type Greeter interface {
	Authenticator
	// Greet answers a request that has no valid credential; nil: it has nothing to say to such a request. It is called on the
	// loop and answers from memory, as Try does, but may allocate. What it returns is read and not changed.
	Greet(*Request) *Answer
}

// Renewer is an Authenticator whose credential the proxy renews while it is used.
type Renewer interface {
	Authenticator
	// Renew returns the Set-Cookie value that goes out with the response to a request which that identity was found for;
	// "": nothing is due. It is called on the loop and answers from memory; where nothing is due it does not allocate.
	Renew(*Identity, *Request) string
}

// Site answers requests for paths that are the proxy's own on every host: the callback of a login, a logout, public keys.
// Implementations are safe for concurrent use. Routes cannot take these paths, and no policy is asked for them.
type Site interface {
	// Owns reports whether a path, in its normal form, is one of the site's. It is called on the loop for each path that
	// begins with "/.", and does not allocate. Those below SitePrefixes are reserved even if no site owns them.
	Owns(path []byte) bool
	// Serve answers a request, of which it may keep everything: it is a clone (with all fields, but Route is empty). body is all
	// of the request's, at most MaxSiteBody bytes; of longer ones nothing comes here (413). It is called off the loop and may
	// block, within its own deadline, which is below the proxy's for stages.
	Serve(r *Request, body []byte) Answer
}

// MaxSiteBody bounds the body of a request to a site, in bytes.
const MaxSiteBody = 64 << 10

// SitePrefixes begin paths that are sites' alone, where there are any: what no site owns is answered 404 there. Sites may own others that begin
// with "/.", each by its whole path.
var SitePrefixes = [...]string{"/.sluice/", "/.well-known/sluice/"}
