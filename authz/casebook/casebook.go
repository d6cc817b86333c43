// Package casebook reads tables of requests, with what a policy should say of each:
//
//	policy: ../policy            # relative to this file; may be left out
//	cases:
//	- name: engineers may see the app
//	  request: {host: app.example.com, path: /x, source_ip: 10.1.2.3}
//	  identity: {user: u-1, groups: [engineers]}
//	  expect: allow
//	- name: and nobody else may
//	  request: {host: app.example.com, path: /x}
//	  identity: {user: u-2}
//	  expect: deny
//	  reason: groups-unauthorized
//
// It reads strictly, and decides nothing.
package casebook

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/sluiceproxy/sluice/authz"
	"github.com/sluiceproxy/sluice/internal/yaml"
)

// The limits of a book.
const (
	MaxSize  = 16 << 20 // bytes
	MaxCases = 20_000
)

// Book is one file of cases.
type Book struct {
	Policy string `yaml:"policy"` // a directory or file, relative to the book's; zero: the book does not say
	Cases  []Case `yaml:"cases,required"`
}

// Case is a request that nobody sent, and what should become of it.
type Case struct {
	Name        string       `yaml:"name,required"`
	Request     Request      `yaml:"request"`
	Identity    *Identity    `yaml:"identity"`    // nil: anonymous
	Certificate *Certificate `yaml:"certificate"` // nil: none was shown
	Expect      Outcome      `yaml:"expect" enum:"allow,deny,challenge,refuse"`
	Reason      string       `yaml:"reason"` // code; zero: any
	Route       string       `yaml:"route"`  // zero: any
	Rule        *int         `yaml:"rule"`   // whose block decided, from 0; nil: any

	Place string `yaml:"-"` // "file:line:col"
}

// Request is what is asked for. Zero values: a GET of / from 127.0.0.1, now.
type Request struct {
	Listener  string     `yaml:"listener"` // of a TCP listener, to which only SourceIP and Time matter besides
	Method    string     `yaml:"method"`
	Host      string     `yaml:"host"`
	Path      string     `yaml:"path"`
	Query     string     `yaml:"query"`
	SourceIP  netip.Addr `yaml:"source_ip"`
	Time      time.Time  `yaml:"time"`
	Preflight bool       `yaml:"preflight"` // a browser asks for leave (CORS), with method OPTIONS
}

// Outcome is what becomes of a request.
type Outcome string

// The outcomes.
const (
	Any       Outcome = ""          // the case is only there to be compared
	Allow     Outcome = "allow"     // forwarded
	Deny      Outcome = "deny"      // 403, or a TCP connection is closed
	Challenge Outcome = "challenge" // 401: a credential is needed
	Refuse    Outcome = "refuse"    // before rules were asked: no route, a bad path, ...
)

// Identity is who asks.
type Identity struct {
	User   string   `yaml:"user,required"`
	Email  string   `yaml:"email"`
	Groups []string `yaml:"groups"`
	Claims claims   `yaml:"claims"`
}

// Certificate is what the client has shown of itself.
type Certificate struct {
	Fingerprint string   `yaml:"fingerprint"` // hexadecimal digits in lower case
	SPKIHash    string   `yaml:"spki_hash"`   // base64
	URIs        []string `yaml:"uri"`
	DNSNames    []string `yaml:"dns"`
	Emails      []string `yaml:"email"`
}

type claims map[string][]string

// Read reads a book. The error lists every fault with its place.
func Read(name string, src []byte) (*Book, error) {
	doc, err := yaml.Parse(name, src, yaml.Limits{Size: MaxSize})
	if err != nil {
		return nil, err
	}
	b := &Book{}
	if err := doc.Decode(b); err != nil {
		return nil, err
	}
	if len(b.Cases) > MaxCases {
		return nil, fmt.Errorf("%s: %d cases; at most %d", name, len(b.Cases), MaxCases)
	}
	return b, nil
}

// UnmarshalYAML reads a case and notes where it is.
func (c *Case) UnmarshalYAML(n yaml.Node, r *yaml.Reader) {
	type plain Case
	r.Decode(n, (*plain)(c))
	if c.Request.Preflight && c.Request.Method != "" && c.Request.Method != "OPTIONS" {
		r.Fault(n, "a preflight has method OPTIONS")
	}
	c.Place = r.Place(n).String()
	c.Request.Defaults()
}

// Defaults gives what is zero its value, but for the time.
func (q *Request) Defaults() {
	if q.Method == "" {
		q.Method = "GET"
		if q.Preflight {
			q.Method = "OPTIONS"
		}
	}
	if q.Path == "" {
		q.Path = "/"
	}
	if !q.SourceIP.IsValid() {
		q.SourceIP = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
}

// Authz is the identity as the stages know it; of nil it is nil.
func (id *Identity) Authz() *authz.Identity {
	if id == nil {
		return nil
	}
	return &authz.Identity{Method: "case", User: id.User, Email: id.Email, Groups: id.Groups, Claims: id.Claims}
}

// Authz is the certificate as the stages know it; of nil it is nil.
func (c *Certificate) Authz() *authz.ClientCertificate {
	if c == nil {
		return nil
	}
	return &authz.ClientCertificate{Fingerprint: c.Fingerprint, SPKIHash: c.SPKIHash, URIs: c.URIs, DNSNames: c.DNSNames, Emails: c.Emails}
}

// UnmarshalYAML reads claims: a value, or a list of them, under each path.
func (c *claims) UnmarshalYAML(n yaml.Node, r *yaml.Reader) {
	if !r.Expect(n, yaml.Map) {
		return
	}
	*c = make(claims, n.Len())
	for i := range n.Len() {
		key, value := n.Entry(i)
		at := r.Key(key.Text())
		if value.Kind() != yaml.List {
			if at.Expect(value, yaml.String) {
				(*c)[key.Text()] = []string{value.Text()}
			}
			continue
		}
		for j := range value.Len() {
			if item := value.Item(j); at.Index(j).Expect(item, yaml.String) {
				(*c)[key.Text()] = append((*c)[key.Text()], item.Text())
			}
		}
	}
}
