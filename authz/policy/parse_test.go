package policy

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

const good = `
clusters:
  app:
    endpoints: ["127.0.0.1:9000", "[::1]:9000", "app.internal:80"]
    balance: least_request
    connect_timeout: 2s
    response_timeout: 30s
    idle_timeout: 1m
    max_idle: 100
    max_connections: 10
    max_pending: 20
    pending_timeout: 3s
    retry_percent: 0
    proxy_protocol: v2
    outlier: {failures: 3, eject_for: 5s, eject_max: 1m, max_ejected: 100, server_errors: true}
    health_check: {path: /healthz?x=1, interval: 5s, timeout: 1s, healthy: 1, unhealthy: 2}
  pg: {endpoints: ["10.0.0.1:5432"], protocol: http2}
routes:
- name: admin
  hosts: [app.example.com, "*.example.com"]
  path: {prefix: /admin/}
  methods: [GET, POST]
  cluster: app
  authenticate: [api_key]
  path_parameters: true
  response_timeout: 5s
  policy:
    allow: {and: [{groups: {has: admins}}]}
    deny: {or: [{user: {is: u-1}}]}
- {name: public, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}
- {name: closed, path: {exact: /closed}, cluster: app}
tcp_routes:
- {listener: db, cluster: pg, policy: [{allow: {and: [{source_ip: 10.0.0.0/8}]}}]}
`

func TestParse(t *testing.T) {
	doc, err := Parse("policy.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	app := doc.Clusters[0]
	app.Origin = Origin{}
	want := Cluster{
		Name: "app", Endpoints: []string{"127.0.0.1:9000", "[::1]:9000", "app.internal:80"}, Balance: "least_request",
		ConnectTimeout: 2 * time.Second, ResponseTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxIdle: 100,
		MaxConnections: 10, MaxPending: 20, PendingTimeout: 3 * time.Second, RetryPercent: new(int), ProxyProtocol: "v2",
		Outlier:     Outlier{Failures: 3, EjectFor: 5 * time.Second, EjectMax: time.Minute, MaxEjected: 100, ServerErrors: true},
		HealthCheck: &HealthCheck{Path: "/healthz?x=1", Interval: 5 * time.Second, Timeout: time.Second, Healthy: 1, Unhealthy: 2},
	}
	if !reflect.DeepEqual(app, want) {
		t.Errorf("cluster %+v, want %+v", app, want)
	}
	r := doc.Routes[0]
	if got := r.Origin.String(); got != "policy.yaml:19:3" {
		t.Errorf("origin %s", got)
	}
	if r.Name != "admin" || len(r.Hosts) != 2 || r.Path != (Path{Prefix: "/admin/"}) || len(r.Methods) != 2 || r.Cluster != "app" ||
		len(r.Authenticate) != 1 || !r.PathParameters || r.ResponseTimeout != 5*time.Second || len(r.Policy.List) != 1 {
		t.Errorf("route %+v", r)
	}
	if doc.Routes[2].Policy != nil || doc.Routes[2].Path.Exact != "/closed" {
		t.Errorf("route %+v", doc.Routes[2])
	}
	if tcp := doc.TCPRoutes[0]; tcp.Name != "db" || tcp.Listener != "db" || tcp.Cluster != "pg" || tcp.Policy == nil {
		t.Errorf("tcp route %+v", tcp)
	}
	if err := doc.CheckAuthenticators([]string{"api_key"}); err != nil {
		t.Error(err)
	}
	if err := doc.CheckAuthenticators([]string{"api_keys"}); !strings.Contains(fmt.Sprint(err), `route "admin": there is no authenticator "api_key"; did you mean "api_keys"?`) {
		t.Error(err)
	}
}

func TestAFaultOfACallerReadsLikeOurs(t *testing.T) {
	doc, err := Parse("p.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	err = JoinErrors(nil, doc.Routes[1].Origin.Errorf("routes %q and %q both claim /", "a", "b"))
	want := `p.yaml:30:3 error [conflict] routes "a" and "b" both claim /
  28 |     allow: {and: [{groups: {has: admins}}]}
  29 |     deny: {or: [{user: {is: u-1}}]}
> 30 | - {name: public, cluster: app, policy: [{allow: {and: [{accept: true}]}}]}
         ^
1 error in p.yaml; nothing was changed.`
	if err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if JoinErrors(nil, nil) != nil {
		t.Error("no errors joined to one")
	}
}

// route wraps a policy in a document; the policy begins at 3:11.
func route(policy string) string {
	return "clusters: {c: {endpoints: [\"h:1\"]}}\nroutes:\n- policy: " + policy + "\n  name: r\n  cluster: c\n  authenticate: [api_key]\n"
}

// coded is what stands between the place of a fault and its sentence.
var coded = regexp.MustCompile(` +error \[[a-z-]+\] `)

// Every malformed policy gets one clear answer.
func TestFaults(t *testing.T) {
	for src, want := range map[string]string{
		// rules
		route("[]x"): `3:13 value is not allowed in this context`,
		route("{}"):  `3:11 routes[0].policy: a rule without allow or deny`,
		route("x"):   `3:11 routes[0].policy: "x" where a list is expected`,
		route("[x]"): `3:12 routes[0].policy[0]: "x" where a mapping is expected`,
		route("[{alow: {and: [{accept: true}]}}]"):                           `3:13 unknown action "alow" in routes[0].policy[0]; did you mean "allow"?`,
		route("[{allow: []}]"):                                               `3:20 routes[0].policy[0].allow: a list where a mapping is expected`,
		route("[{allow: {}}]"):                                               `3:20 routes[0].policy[0].allow: no criteria; write {and: [{accept: true}]} to mean everyone`,
		route("[{allow: {andd: [{accept: true}]}}]"):                         `3:21 unknown operator "andd" in routes[0].policy[0].allow; did you mean "and"?`,
		route("[{allow: {accept: true}}]"):                                   `3:21 routes[0].policy[0].allow: criterion "accept" must be in a list under and, or, none_of or not_all_of`,
		route("[{allow: {and: {accept: true}}}]"):                            `3:26 routes[0].policy[0].allow.and: a mapping where a list is expected`,
		route("[{allow: {and: []}}]"):                                        `3:26 routes[0].policy[0].allow.and: an empty list of criteria; write [{accept: true}] to mean everyone`,
		route("[{allow: {and: [accept]}}]"):                                  `3:27 routes[0].policy[0].allow.and[0]: "accept" where a mapping is expected`,
		route("[{allow: {and: [{}]}}]"):                                      `3:27 routes[0].policy[0].allow.and[0]: 0 criteria in one entry; each is an entry of its own`,
		route("[{allow: {and: [{accept: true, user: a}]}}]"):                 `3:27 routes[0].policy[0].allow.and[0]: 2 criteria in one entry; each is an entry of its own`,
		route("[{allow: {and: [{methd: GET}]}}]"):                            `3:28 unknown criterion "methd" in routes[0].policy[0].allow.and[0]`,
		route("[{deny: {or: [{usr: a}]}}]"):                                  `3:26 unknown criterion "usr" in routes[0].policy[0].deny.or[0]; did you mean "user"?`,
		route("[{allow: {and: [{http_methd: GET}]}}]"):                       `3:28 unknown criterion "http_methd" in routes[0].policy[0].allow.and[0]; did you mean "http_method"?`,
		route("[{allow: {and: [{accept: yes}]}}]"):                           `3:36 routes[0].policy[0].allow.and[0].accept: the value must be true`,
		route("[{allow: {and: [{accept: false}]}}]"):                         `3:36 routes[0].policy[0].allow.and[0].accept: the value must be true`,
		route("[{deny: {or: [{reject: true}]}}]"):                            `3:26 routes[0].policy[0].deny.or[0]: reject is never true, so that this deny would never apply; write accept to deny everyone`,
		route("[{allow: {and: [{cors_preflight: false}]}}]"):                 `3:44 routes[0].policy[0].allow.and[0].cors_preflight: the value must be true`,
		route("[{allow: {and: [{client_certificate: {}}]}}]"):                `3:48 routes[0].policy[0].allow.and[0].client_certificate: nothing to compare; write true for any certificate, or one of: dns, email, fingerprint, spki_hash, uri`,
		route("[{allow: {and: [{client_certificate: false}]}}]"):             `3:48 routes[0].policy[0].allow.and[0].client_certificate: the value must be true`,
		route("[{allow: {and: [{client_certificate: {fingerprint: ab}}]}}]"): `3:62 routes[0].policy[0].allow.and[0].client_certificate.fingerprint: "ab" is not a SHA-256 in 64 hexadecimal digits (openssl x509 -noout -fingerprint -sha256)`,
		route("[{allow: {and: [{client_certificate: {spki_hash: [ab]}}]}}]"): `3:60 routes[0].policy[0].allow.and[0].client_certificate.spki_hash: "ab" is not a SHA-256 in base64 (44 characters)`,
		route("[{allow: {and: [{client_certificate: {urii: ab}}]}}]"):        `3:49 unknown part of a certificate "urii" in routes[0].policy[0].allow.and[0].client_certificate; did you mean "uri"?`,
		route("[{allow: {and: [{invalid_client_certificate: true}]}}]"):      `3:28 routes[0].policy[0].allow.and[0]: criterion "invalid_client_certificate" is not supported: one that is not valid ends the handshake`,
		route("[{allow: {and: [{device: {}}]}}]"):                            `3:28 routes[0].policy[0].allow.and[0]: criterion "device" is not supported at all`,
		route("[{allow: {and: [{claim/: x}]}}]"):                             `3:28 routes[0].policy[0].allow.and[0]: claim/ needs the path of a claim, for example claim/amr`,
		// matchers
		route("[{allow: {and: [{user: {}}]}}]"):                                                               `3:34 routes[0].policy[0].allow.and[0].user: no matcher; give one of: contains, ends_with, in, is, not, not_in, starts_with`,
		route("[{allow: {and: [{user: {iss: a}}]}}]"):                                                         `3:35 unknown matcher "iss" in routes[0].policy[0].allow.and[0].user; did you mean "is"?`,
		route("[{allow: {and: [{user: {has: a}}]}}]"):                                                         `3:35 unknown matcher "has" in routes[0].policy[0].allow.and[0].user`,
		route("[{allow: {and: [{groups: {in: [a]}}]}}]"):                                                      `3:37 unknown matcher "in" in routes[0].policy[0].allow.and[0].groups; did you mean "is"?`,
		route("[{allow: {and: [{user: {is: 1}}]}}]"):                                                          `3:39 routes[0].policy[0].allow.and[0].user.is: number 1 where a string is expected; write "1"`,
		route("[{allow: {and: [{user: {is: [a]}}]}}]"):                                                        `3:39 routes[0].policy[0].allow.and[0].user.is: a list where a string is expected`,
		route("[{allow: {and: [{user: {in: a}}]}}]"):                                                          `3:39 routes[0].policy[0].allow.and[0].user.in: "a" where a list is expected`,
		route("[{allow: {and: [{user: {in: []}}]}}]"):                                                         `3:39 routes[0].policy[0].allow.and[0].user.in: a list of 0 values; from 1 to 4096`,
		route("[{allow: {and: [{user: ''}]}}]"):                                                               `3:34 routes[0].policy[0].allow.and[0].user: an empty string`,
		route("[{allow: {and: [{user: }]}}]"):                                                                 `3:28 routes[0].policy[0].allow.and[0].user: nothing where a string is expected`,
		route("[{deny: {or: [{email: example.com}]}}]"):                                                       `3:33 routes[0].policy[0].deny.or[0].email: "example.com" is not an email address; for all of a domain use domain`,
		route("[{deny: {or: [{domain: a@example.com}]}}]"):                                                    `3:34 routes[0].policy[0].deny.or[0].domain: "a@example.com": a domain has no @`,
		route("[{deny: {or: [{http_method: get}]}}]"):                                                         `3:39 routes[0].policy[0].deny.or[0].http_method: methods are case-sensitive; write "GET"`,
		route("[{deny: {or: [{http_path: admin}]}}]"):                                                         `3:37 routes[0].policy[0].deny.or[0].http_path: "admin": a path begins with a slash`,
		route("[{deny: {or: [{http_path: {starts_with: //a}}]}}]"):                                            `3:51 routes[0].policy[0].deny.or[0].http_path.starts_with: "//a": no request has this path; dots and double slashes are gone when rules are asked`,
		route("[{deny: {or: [{source_ip: 10.0.0.0/33}]}}]"):                                                   `3:37 routes[0].policy[0].deny.or[0].source_ip: "10.0.0.0/33" is neither an address nor a network such as 10.0.0.0/8`,
		route("[{deny: {or: [{source_ip: [10.0.0.1/8]}]}}]"):                                                  `3:38 routes[0].policy[0].deny.or[0].source_ip[0]: "10.0.0.1/8" has bits set beyond its length; write "10.0.0.0/8"`,
		route("[{deny: {or: [{source_ip: []}]}}]"):                                                            `3:37 routes[0].policy[0].deny.or[0].source_ip: a list of 0 networks; from 1 to 4096`,
		route("[{deny: {or: [{source_ip: {is: 10.0.0.1}}]}}]"):                                                `3:37 routes[0].policy[0].deny.or[0].source_ip: a mapping where a string is expected`,
		route("[{deny: {or: [{source_ip: '::ffff:1.2.3.4'}]}}]"):                                              `3:37 routes[0].policy[0].deny.or[0].source_ip: "::ffff:1.2.3.4": write IPv4 networks as IPv4`,
		route("[{deny: {or: [{source_ip: 'fe80::1%lo'}]}}]"):                                                  `3:37 routes[0].policy[0].deny.or[0].source_ip: "fe80::1%lo" is neither an address nor a network such as 10.0.0.0/8`,
		route("[{allow: " + strings.Repeat("{and: [", 9) + "{accept: true}" + strings.Repeat("]}", 9) + "}]"): `3:82 routes[0].policy[0].allow.and[0].and[0].and[0].and[0].and[0].and[0].and[0].and[0].and: the rules are too large: at most 4096 criteria, 8 lists inside one another`,
		// routes and clusters
		"route: []":                       `1:1 unknown key "route"; did you mean "routes"?`,
		"routes: [{name: r, cluster: c}]": `1:10 route "r": there is no cluster "c"`,
		"clusters: {app: {endpoints: [\"h:1\"]}}\nroutes: [{name: r, cluster: ap}]": `2:10 route "r": there is no cluster "ap"; did you mean "app"?`,
		"routes: [{cluster: c}]":                                                                                                  `1:10 routes[0]: "name" is required`,
		"clusters: {c: {}}":                                                                                                       `1:15 clusters.c: "endpoints" is required`,
		"clusters: {c: {endpoints: []}}":                                                                                          `1:27 clusters.c.endpoints: a list of 0 endpoints; from 1 to 1024`,
		"clusters: {c: {endpoints: [a]}}":                                                                                         `1:28 clusters.c.endpoints[0]: "a" is not host:port`,
		"clusters: {c: {endpoints: ['a:0']}}":                                                                                     `1:28 clusters.c.endpoints[0]: "a:0" needs a port from 1 to 65535`,
		"clusters: {c: {endpoints: ['1.2.3.4:0']}}":                                                                               `1:28 clusters.c.endpoints[0]: "1.2.3.4:0" needs a port from 1 to 65535`,
		"clusters: {c: {endpoints: [':80']}}":                                                                                     `1:28 clusters.c.endpoints[0]: ":80" needs a host before the port`,
		"clusters: {c: {endpoints: ['http://a:80']}}":                                                                             `1:28 clusters.c.endpoints[0]: "http://a:80" is not host:port`,
		"clusters: {c: {endpoints: ['a:1', 'a:1']}}":                                                                              `1:35 clusters.c.endpoints[1]: "a:1" is given twice`,
		"clusters: {c: {endpoints: ['a:1'], balance: random}}":                                                                    `1:45 clusters.c.balance: "random" is not one of: round_robin, least_request`,
		`clusters: {c: {endpoints: ['a:1'], max_connections: -1}}`:                                                                `1:15 clusters.c.max_connections: -1 is negative`,
		`clusters: {c: {endpoints: ['a:1'], retry_percent: 101}}`:                                                                 `1:15 clusters.c.retry_percent: 101; from 0 to 100`,
		`clusters: {c: {endpoints: ['a:1'], protocol: http2, max_connections: 3}}`:                                                `1:70 clusters.c.max_connections: does not go with protocol: http2, where many requests share a connection`,
		`clusters: {c: {endpoints: ['a:1'], proxy_protocol: v3}}`:                                                                 `1:52 clusters.c.proxy_protocol: "v3" is not one of: v1, v2`,
		`clusters: {c: {endpoints: ['a:1'], outlier: {max_ejected: 101}}}`:                                                        `1:15 clusters.c.outlier.max_ejected: 101; at most 100`,
		`clusters: {c: {endpoints: ['a:1'], outlier: {eject_for: -1s}}}`:                                                          `1:57 clusters.c.outlier.eject_for: "-1s" is negative`,
		`clusters: {c: {endpoints: ['a:1'], health_check: {path: x}}}`:                                                            `1:15 clusters.c.health_check.path: "x" does not begin with /`,
		`clusters: {c: {endpoints: ['a:1'], health_check: {path: "/a\r\nb"}}}`:                                                    `1:15 clusters.c.health_check.path: "/a\r\nb" may only have printable ASCII without blanks and #`,
		"clusters: {c: {endpoints: ['a:1'], connect_timeout: 3}}":                                                                 `1:53 clusters.c.connect_timeout: number 3 needs a unit, for example "3s"`,
		"clusters: {c: {endpoints: ['a:1'], max_idle: -1}}":                                                                       `1:15 clusters.c.max_idle: -1 is negative`,
		"clusters: {'a b': {endpoints: ['a:1']}}":                                                                                 `1:12 clusters: the name "a b" may only have letters, digits and - _ . / :`,
		"clusters: {c: {endpoints: ['a:1']}}\nroutes: [{name: r, cluster: c, policy: {allow: {and: [{user: a}]}}}]":               `2:10 route "r": the policy asks for user, but authenticate names no way to know who it is`,
		`clusters: {c: {endpoints: ['a:1'], tls: {server_name: a}}}`:                                                              `1:41 clusters.c.tls: "profile" is required`,
		`clusters: {c: {endpoints: ['a:1'], tls: {profile: p, server_name: "a b"}}}`:                                              `1:41 clusters.c.tls.server_name: "a b" is neither a name of a host nor an address`,
		`clusters: {c: {endpoints: ['a:1'], tls: {profile: p, server_name: "*.a"}}}`:                                              `1:41 clusters.c.tls.server_name: "*.a" is neither a name of a host nor an address`,
		`clusters: {c: {endpoints: ['a:1'], tls: {profile: p, ca_file: x}}}`:                                                      `1:54 unknown key "ca_file" in clusters.c.tls`,
		"clusters: {c: {endpoints: ['a:1']}}\ntcp_routes: [{listener: l, cluster: c, policy: {allow: {and: [{http_path: /a}]}}}]": `2:14 route "l": http_path cannot be asked of a TCP connection, only accept, reject, source_ip, client_certificate and times`,
		"clusters: {c: {endpoints: ['a:1']}}\nroutes: [{name: r, cluster: c}, {name: r, cluster: c}]":                             `2:33 route "r" is defined twice; first at p.yaml:2:10`,
		"clusters: {c: {endpoints: ['a:1']}}\nroutes: [{name: r, cluster: c, authenticate: [api_key, jwt]}]":                      `2:10 route "r": authenticate names jwt behind api_key, which takes every bearer token for a key; write [jwt, api_key]`,
		"clusters: {c: {endpoints: ['a:1']}}\nroutes: [{name: r, cluster: c, authenticate: [a, a]}]":                              `2:10 route "r": authenticate names "a" twice or not at all`,
	} {
		doc, err := Parse("p.yaml", []byte(src))
		if err == nil || doc != nil {
			t.Errorf("%s\naccepted; want %s", src, want)
			continue
		}
		first, rest, _ := strings.Cut(err.Error(), "\n")
		got := coded.ReplaceAllString(strings.TrimPrefix(first, "p.yaml:"), " ")
		if got != want || !strings.HasSuffix(rest, "1 error in p.yaml; nothing was changed.") {
			t.Errorf("%s\n got %s\nwant %s", src, got, want)
		}
	}
}

func TestFilesOfADirectoryAreOnePolicy(t *testing.T) {
	clusters := File{"clusters.yaml", []byte("clusters: {c: {endpoints: [\"h:1\"]}}\n")}
	routes := File{"routes.yaml", []byte("routes:\n- {name: a, cluster: c}\n")}
	doc, err := ParseFiles([]File{routes, clusters})
	if err != nil || len(doc.Routes) != 1 || len(doc.Clusters) != 1 {
		t.Fatalf("%+v, %v", doc, err)
	}
	_, err = ParseFiles([]File{clusters, routes, {"more.yaml", []byte("clusters: {c: {endpoints: [\"h:1\"]}}\nroutes:\n- {name: a, cluster: c}\n- {name: b, cluster: d}\n")}})
	for _, want := range []string{
		`more.yaml:1:15 error [duplicate-name] cluster "c" is defined twice; first at clusters.yaml:1:15`,
		`more.yaml:3:3  error [duplicate-name] route "a" is defined twice; first at routes.yaml:2:3`,
		`more.yaml:4:3  error [unknown-name] route "b": there is no cluster "d"; did you mean "c"?`,
		`3 errors in more.yaml; nothing was changed.`,
	} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%q missing in\n%v", want, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(route("[{allow: {nor: [{claim/a/b: {exclude: x}}]}, deny: {not: [{source_ip: [10.0.0.0/8, '::1']}]}}]")))
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 1<<13 {
			return
		}
		doc, err := Parse("p.yaml", src)
		if (doc == nil) == (err == nil) {
			t.Fatalf("document %v, error %v", doc, err)
		}
		if err != nil {
			return
		}
		if n := len(Compile(doc).Routes); n != len(doc.Routes) {
			t.Fatalf("%d programs for %d routes", n, len(doc.Routes))
		}
	})
}
