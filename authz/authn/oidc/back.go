package oidc

import (
	"net/url"
	"strings"

	"github.com/sluiceproxy/sluice/authz"
)

// maxBack is the longest way back that an attempt remembers, in bytes.
const maxBack = 1024

// isBack reports whether a text is a path of this host, with a query maybe, to every reader: what begins with two slashes, or
// with a slash and something that a browser takes for one or takes away (the URL standard: backslash, tab, line ends), names
// another host.
func isBack(to string) bool {
	if len(to) > maxBack || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") {
		return false
	}
	for i := range len(to) {
		if c := to[i]; c <= ' ' || c >= 0x7f || c == '\\' || c == '#' {
			return false
		}
	}
	for _, own := range authz.SitePrefixes { // would lead in a circle
		if strings.HasPrefix(to, own) {
			return false
		}
	}
	return true
}

// backTo is where a login leads back that a request is sent to: to where it wanted to go, as far as that can be remembered.
func backTo(r *authz.Request) string {
	path := string(r.Path)
	if to := path + "?" + string(r.Query); len(r.Query) > 0 && isBack(to) {
		return to
	}
	if isBack(path) {
		return path
	}
	return "/"
}

// backToPage is where a login leads back that a script asks for: to the page that it runs in, if that says so.
func backToPage(r *authz.Request) string {
	if r.Fields == nil {
		return "/"
	}
	from, n := r.Fields.Field("referer")
	if n != 1 {
		return "/"
	}
	to, ours := strings.CutPrefix(string(from), origin(r))
	if to, _, _ = strings.Cut(to, "#"); ours && isBack(to) {
		return to
	}
	return "/"
}

// origin is that of this host as the client wrote it (RFC 6454 section 6.2, but for a port that is not needed).
func origin(r *authz.Request) string { return "https://" + strings.ToLower(string(r.Authority)) }

// loginURL is where a login begins that leads back to a path.
func (a *Authenticator) loginURL(r *authz.Request, to string) string {
	return origin(r) + pathLogin + a.suffix + "?to=" + url.QueryEscape(to)
}
