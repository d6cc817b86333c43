package config

import (
	"strings"
	"testing"
	"time"

	"github.com/sluiceproxy/sluice/authz/policysync"
)

func TestEtcdIsOffByItself(t *testing.T) {
	c := mustLoad(t, Source{Name: "c", Text: []byte(minimal)})
	if c.Etcd.On() || c.Etcd.Secure() || c.Etcd.Prefix != "/sluice" || c.Etcd.RequestTimeout != 5*time.Second {
		t.Errorf("%+v", c.Etcd)
	}
}

func TestEtcdSpeaksTLSWhereItIsAskedFor(t *testing.T) {
	for etcd, want := range map[string]bool{
		"endpoints: [a:1]":                                    false,
		"endpoints: [\"http://a:1\"]":                         false,
		"endpoints: [a:1, \"https://b:1\"]":                   true,
		"endpoints: [a:1], ca_file: f":                        true,
		"endpoints: [a:1], cert_file: f, key_file: k":         true,
		"endpoints: [\"[::1]:1\"], user: u, password_file: p": false,
	} {
		if got := mustLoad(t, Source{Name: "c", Text: []byte(minimal + "etcd: {" + etcd + "}\n")}).Etcd; got.Secure() != want || !got.On() {
			t.Errorf("%s: %+v", etcd, got)
		}
	}
}

// The policy comes from a directory unless the file says otherwise, and then no directory is needed.
func TestPolicySource(t *testing.T) {
	web := "version: 1\nlisteners: [{name: web, address: \":8080\"}]\n"
	if c := mustLoad(t, Source{Name: "c", Text: []byte(minimal + "etcd: {endpoints: [a:1]}\n")}); c.Policy.Source != "directory" {
		t.Errorf("%+v", c.Policy)
	}
	if c := mustLoad(t, Source{Name: "c", Text: []byte(web + "policy: {source: etcd}\netcd: {endpoints: [a:1]}\n")}); c.Policy.Source != "etcd" {
		t.Errorf("%+v", c.Policy)
	}
	for text, want := range map[string]string{
		"policy: {source: etcd}\n":   "etcd.endpoints: are required: the policy comes from there",
		"policy: {source: consul}\n": `"consul"`,
		"etcd: {endpoints: [a:1]}\n": "policy.dir: is required",
	} {
		if _, err := Load(Source{Name: "c", Text: []byte(web + text)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestStaleness(t *testing.T) {
	rule := mustLoad(t, Source{Name: "c", Text: []byte(minimal)}).FreshnessRule()
	if rule.Max != 5*time.Minute || rule.On != policysync.Warn || rule.Guard != 30 {
		t.Errorf("%+v", rule)
	}
	for policy, want := range map[string]policysync.OnStale{
		"on_stale: deny, max_staleness: 30s": policysync.Deny,
		"on_stale: unready, fleet_guard: 0":  policysync.Unready,
		"on_stale: warn, max_staleness: 0s":  policysync.Warn,
		"poll: 1s, max_staleness: 3s":        policysync.Warn,
	} {
		c := mustLoad(t, Source{Name: "c", Text: []byte(strings.Replace(minimal, "dir: p", "dir: p, "+policy, 1))})
		if got := c.FreshnessRule().On; got != want {
			t.Errorf("%s: %s", policy, got)
		}
	}
	for policy, want := range map[string]string{
		"max_staleness: 29s":                "policy.max_staleness: 29s is less than three times policy.poll 10s",
		"max_staleness: 0s, on_stale: deny": "policy.on_stale: deny needs a limit",
		"fleet_guard: 101":                  "policy.fleet_guard: 101 is not from 0 to 100",
		"on_stale: unready":                 "policy.fleet_guard: there is no fleet to know of without fleet.enabled",
		"on_stale: panic":                   "panic",
	} {
		_, err := Load(Source{Name: "c", Text: []byte(strings.Replace(minimal, "dir: p", "dir: p, "+policy, 1))})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", policy, err, want)
		}
	}
}

func TestEtcdFaults(t *testing.T) {
	for etcd, want := range map[string]string{
		"endpoints: [a]":                                          `etcd.endpoints[0]: "a" is not a host and a port`,
		"endpoints: [\"ftp://a:1\"]":                              `"ftp" is neither http nor https`,
		"endpoints: [\"http://a:1\"], ca_file: c":                 `etcd.endpoints[0]: "http://a:1" is without TLS`,
		"endpoints: [\"https://a:1\", \"http://a:1\"]":            `etcd.endpoints[1]: "http://a:1" is without TLS`,
		"endpoints: [a:1], user: u, password_file: p":             `"a:1" would get the password without TLS`,
		"endpoints: [localhost:1], user: u":                       `etcd.password_file: is required with user`,
		"endpoints: [localhost:1], password_file: p":              `etcd.user: is required with password_file`,
		"endpoints: [a:1], cert_file: c":                          `etcd.key_file: is required with cert_file`,
		"endpoints: [\"https://a:1\"], key_file: k":               `etcd.cert_file: is required with key_file`,
		"prefix: sluice":                                          `etcd.prefix: "sluice" does not begin with one slash`,
		"prefix: /":                                               `etcd.prefix: "/"`,
		"prefix: /a/":                                             `etcd.prefix: "/a/"`,
		"prefix: //a":                                             `etcd.prefix: "//a"`,
		"dial_timeout: 1ms":                                       `etcd.dial_timeout: 1ms is not from 100ms to 1m`,
		"request_timeout: 0s":                                     `etcd.request_timeout: 0s is not from 100ms to 1m`,
		"endpoints: [" + strings.Repeat("a:1, ", 32) + "\"a:1\"]": `etcd.endpoints: there are 33; at most 32`,
		"password: secret":                                        `unknown key "password"`,
	} {
		_, err := Load(Source{Name: "c", Text: []byte(minimal + "etcd: {" + etcd + "}\n")})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Count(err.Error(), "c:4:") != 1 {
			t.Errorf("%s: %v, want %s", etcd, err, want)
		}
	}
}
