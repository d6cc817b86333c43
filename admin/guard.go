package admin

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guard decides who may come in. Whatever it does not know, it refuses.
type guard struct {
	place place
	token *token // nil: none is configured
	log   *slog.Logger
}

// refusal is the answer to who may not.
type refusal struct {
	code int
	text string
}

// check returns why a request is refused; nil: it is not.
func (g guard) check(r *http.Request) *refusal {
	if why := g.fromAPage(r); why != "" {
		return &refusal{http.StatusForbidden, why}
	}
	switch {
	case !g.lets(r.Method):
		return &refusal{http.StatusForbidden, "this takes a token, or a unix socket; set admin.token_file or admin.address"}
	case g.token != nil:
		return g.checkToken(r)
	}
	return nil
}

// lets reports whether anybody may do that here, with the token if there is one.
func (g guard) lets(method string) bool {
	if g.token != nil || g.place.unix != "" { // the mode of the socket's file says who may
		return true
	}
	return (method == http.MethodGet || method == http.MethodHead) && g.place.loopback()
}

// checkFile returns why a file of the dashboard is not given; nil: it is. These hold
// nothing, so that no token is asked for, and a link to them may stand anywhere; but only
// to be followed, not to be loaded into somebody's page.
func (g guard) checkFile(r *http.Request) *refusal {
	if r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document" && g.isHere(r.Host) {
		return nil
	}
	if why := g.fromAPage(r); why != "" {
		return &refusal{http.StatusForbidden, why}
	}
	return nil
}

// checkToken asks for the bearer token (RFC 6750 section 2.1).
func (g guard) checkToken(r *http.Request) *refusal {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if len(r.Header.Values("Authorization")) != 1 || !strings.EqualFold(scheme, "Bearer") {
		return &refusal{http.StatusUnauthorized, "a bearer token is needed: that of admin.token_file"}
	}
	ok, err := g.token.matches(strings.TrimSpace(given))
	switch {
	case err != nil:
		// The file and what is wrong with it are not for everybody; the log has them.
		g.log.Error("nobody is let in", "err", err)
		return &refusal{http.StatusServiceUnavailable, "the token of admin.token_file cannot be read: nobody is let in"}
	case !ok:
		return &refusal{http.StatusUnauthorized, "that is not the token of admin.token_file"}
	}
	return nil
}

// fromAPage says why a request may come from a web page in somebody's browser that is not
// ours. Reading is refused as well: a page that rebinds its name to this address could read
// the answer.
func (g guard) fromAPage(r *http.Request) string {
	if len(r.Header.Values("Origin")) > 0 && !g.ownPage(r) {
		return "requests of web pages are refused (Origin)"
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return "requests of web pages are refused (Sec-Fetch-Site)"
	}
	if !g.isHere(r.Host) {
		return "the Host of the request is not this server (see admin.address)"
	}
	return ""
}

// ownPage reports whether a request comes from a page that this server gave out, the
// dashboard: its origin (RFC 6454 section 6.2) is the Host that is asked, and that names
// this server, also where a unix socket is forwarded to a port. A name that was rebound
// names nobody.
func (g guard) ownPage(r *http.Request) bool {
	origin := r.Header.Values("Origin")
	if len(origin) != 1 || !g.isThis(r.Host) {
		return false
	}
	return origin[0] == "http://"+r.Host || origin[0] == "https://"+r.Host
}

// isHere reports whether a Host may be asked for here. A unix socket has no name, so any word
// will do; but where it is forwarded to a port a name of the DNS may have been rebound to it,
// and browsers say nothing else of that.
func (g guard) isHere(host string) bool {
	if g.isThis(host) {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return g.place.unix != "" && !strings.Contains(host, ".")
}

// isThis reports whether a Host names this server: an address of loopback, localhost, or
// the host of admin.address. The port may differ, as behind a forwarded one.
func (g guard) isThis(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err == nil && ip.IsLoopback(), strings.EqualFold(host, "localhost"):
		return true
	case host != "" && strings.EqualFold(host, g.place.host):
		return true
	case err == nil && g.token != nil:
		// A listener on every address is asked by one of them. A name can be rebound, an
		// address cannot.
		return true
	}
	return false
}

// bound checks the address that was bound in the end: a name may have led anywhere.
func (g guard) bound(addr net.Addr) error {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok || g.token != nil || tcp.IP.IsLoopback() {
		return nil
	}
	return errors.New(addr.String() + " is not loopback; set admin.token_file")
}
