// Package address reads the addresses of etcd servers, for the configuration, which carries
// no client of etcd, and for that client.
//
//	host, err := address.Host("https://10.0.0.1:2379") // "10.0.0.1"
package address

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Host is the host of an endpoint, which is "host:port", with "http://" or "https://" in front or without.
func Host(endpoint string) (string, error) {
	rest := endpoint
	if scheme, after, found := strings.Cut(endpoint, "://"); found {
		if scheme != "http" && scheme != "https" {
			return "", fmt.Errorf("%q: %q is neither http nor https", endpoint, scheme)
		}
		rest = after
	}
	host, port, err := net.SplitHostPort(rest)
	if n, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || host == "" || n == 0 {
		return "", fmt.Errorf("%q is not a host and a port, as in \"10.0.0.1:2379\"", endpoint)
	}
	return host, nil
}

// Secure reports whether an endpoint asks for TLS by its scheme.
func Secure(endpoint string) bool { return strings.HasPrefix(endpoint, "https://") }

// Plain reports whether an endpoint forbids TLS by its scheme.
func Plain(endpoint string) bool { return strings.HasPrefix(endpoint, "http://") }

// Loopback reports whether a host is this one, so that what is sent there can be read by nobody on the way.
func Loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}
