package config

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluiceproxy/sluice/drain"
	"github.com/sluiceproxy/sluice/internal/yaml"
	"github.com/sluiceproxy/sluice/lifecycle"
	"github.com/sluiceproxy/sluice/proxy"
	"github.com/sluiceproxy/sluice/proxy/h1"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// golden compares with a file in testdata: the text is what operators and tools read.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

func read(t *testing.T, name string) Source {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return Source{Name: name, Text: text}
}

// minimal is the smallest file that loads.
const minimal = "version: 1\nlisteners: [{name: web, address: \":8080\"}]\npolicy: {dir: p}\n"

func mustLoad(t *testing.T, src Source) *Config {
	t.Helper()
	c, err := Load(src)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEveryKeyIsRead(t *testing.T) {
	c := mustLoad(t, read(t, "full.yaml"))
	var b strings.Builder
	for _, s := range c.Settings() {
		fmt.Fprintf(&b, "%s = %s (%s)\n", s.Path, s.Value, s.Origin)
		if s.Origin.Kind != FromFile {
			t.Errorf("%s: %s, want the file: full.yaml must set every key", s.Path, s.Origin)
		}
	}
	golden(t, "full.settings", b.String())
	defaults := Default()
	standard := map[string]string{}
	walk(reflect.ValueOf(&defaults).Elem(), "", func(path string, v reflect.Value) { standard[path] = text(v) })
	for _, s := range c.Settings() {
		if s.Path != "version" && s.Value == standard[s.Path] {
			t.Errorf("%s: full.yaml sets the default, which shows nothing", s.Path)
		}
	}
}

func TestEveryFaultIsReportedAtOnce(t *testing.T) {
	c, err := Load(read(t, "broken.yaml"))
	if c != nil || err == nil {
		t.Fatalf("loaded: %+v", c)
	}
	golden(t, "broken.report", err.Error()+"\n")
}

func TestFaults(t *testing.T) {
	for src, want := range map[string]string{
		"":                 `version: is required; write "version: 1"`,
		"version: 1\n":     `listeners: at least one is required, for example: [{name: web, address: ":8080"}]`,
		"version: 1\nx: 1": `unknown key "x"`,
		strings.Replace(minimal, `":8080"`, `":8443", tls: {dir: d, client_certificates: {mode: require}}`, 1):     `listeners[0].tls.client_certificates.ca_file: is required: who vouches for clients`,
		strings.Replace(minimal, `":8080"`, `":8443", tls: {dir: d, client_certificates: {ca_file: c}}`, 1):        `listeners[0].tls.client_certificates.mode: clients are not asked for certificates: say request or require`,
		strings.Replace(minimal, `":8080"`, `":8443", tls: {client_certificates: {mode: request, ca_file: c}}`, 1): `listeners[0].tls: there is no certificate: name some in certificates, or a folder of them in dir`,
		minimal + "assertion: {pomerium: true}":                        `assertion.key_file: is required: assertion.pomerium needs keys`,
		minimal + "assertion: {key_file: f, lifetime: 9s}":             `assertion.lifetime: 9s is not from 10s to 1h`,
		minimal + "assertion: {key_file: f, lifetime: 61m}":            `assertion.lifetime: 1h1m0s is not from 10s to 1h`,
		minimal + "authenticate: {client_certificate: {user: uri}}":    `authenticate.client_certificate.user: no listener asks for certificates (listeners[].tls.client_certificates)`,
		minimal + "drain: {timeout: 8s, close_lead: 3s}":               `drain.close_lead: 3s is not from 0s to a quarter of drain.timeout 8s`,
		minimal + "drain: {timeout: 0s}":                               `drain.timeout: must be positive: a drain without a deadline is not offered`,
		minimal + "drain: {peer_timeout: 900ms}":                       `drain.peer_timeout: 900ms is too short to tell a slow peer from a stuck one; at least 1s, or 0s for none`,
		minimal + "drain: {timeout: -1s}":                              `drain.timeout: "-1s" is negative`,
		minimal + "probes: {address: \"\"}":                            `probes.address: "" is not host:port, for example ":8080" or "127.0.0.1:8080"`,
		minimal + "admin: {address: \"unix:a\"}":                       `admin.address: "unix:a": the path of a unix socket begins with '/'`,
		minimal + "admin: {address: \"0.0.0.0:1\"}":                    `admin.address: "0.0.0.0:1" is reachable from elsewhere: set admin.token_file, or use 127.0.0.1, [::1] or unix:/path`,
		minimal + "admin: {address: \"127.0.0.1:8080\"}":               `listeners[0].address: ":8080" clashes with admin.address "127.0.0.1:8080"`,
		minimal + "admin: {token: abc}":                                `unknown key "token" in admin`,
		minimal + "start: {mode: open}":                                `start.mode: "open" is not one of: refuse, hold`,
		minimal + "platform: {stop_timeout: 0s}":                       `platform.stop_timeout: a stop takes up to 30s = lame_duck.max 10s + closing listeners 3s + drain.timeout 15s + drain.flush 2s + drain.linger 0s, but platform.stop_timeout is 0s; raise that to 30s (and the platform's own limit with it)`,
		minimal + "platform: {pre_stop: 5s}":                           `platform.pre_stop: a stop takes up to 35s = platform.pre_stop 5s + lame_duck.max 10s + closing listeners 3s + drain.timeout 15s + drain.flush 2s + drain.linger 0s, but platform.stop_timeout is 30s; raise that to 35s (and the platform's own limit with it), or lower drain.timeout to 10s`,
		minimal + "platform: {pre_stop: 30s}":                          `platform.pre_stop: 30s leaves nothing of platform.stop_timeout 30s: SIGKILL would come before SIGTERM; shorten the hook, or raise platform.stop_timeout`,
		minimal + "platform: {pre_stop: -1s}":                          `platform.pre_stop: "-1s" is negative`,
		minimal + "platform: {stop_timeout: 20s}\ndrain: {timeout: 9}": `drain.timeout: number 9 needs a unit, for example "9s"`,
		minimal + "limits: {line: 128KiB}":                             `limits.line: 128KiB is not from 256B to 64KiB`,
		minimal + "upstream_tls: [{ca_file: c}]":                       `upstream_tls[0].name: is required; clusters refer to it`,
		minimal + "upstream_tls: [{name: a}, {name: a}]":               `upstream_tls[1].name: "a" is the name of upstream_tls[0] too`,
		minimal + "upstream_tls: [{name: a, cert_file: c}]":            `upstream_tls[0].key_file: is required with cert_file`,
		minimal + "upstream_tls: [{name: a, key_file: c}]":             `upstream_tls[0].cert_file: is required with key_file`,
	} {
		_, err := Load(Source{Name: "f", Text: []byte(src)})
		var faults *yaml.Faults
		if !errors.As(err, &faults) {
			t.Errorf("%q: %v", src, err)
			continue
		}
		var got []string
		found := false
		for _, f := range faults.List() {
			got = append(got, f.Message)
			found = found || f.Message == want
		}
		if !found || strings.HasPrefix(src, minimal) && len(got) != 1 {
			t.Errorf("%q:\n got %s\nwant %s", src, strings.Join(got, "\n     "), want)
		}
	}
}

// flag > environment > file > default, for each scalar alike.
func TestPrecedence(t *testing.T) {
	src := Source{Name: "f.yaml", Text: []byte(minimal + "drain: {timeout: 11s, flush: 1s}\n"),
		Env:   []string{"HOME=/x", "SLUICE_DRAIN_TIMEOUT=12s", "SLUICE_DRAIN_FLUSH=500ms", "SLUICE_LOG_LEVEL=warn", "SLUICE_LIMITS_HEAD=32KiB", "SLUICE_LOG_ACCESS=false", "SLUICE_LIMITS_FIELDS=7"},
		Flags: map[string]string{"drain.timeout": "13s"}}
	want := map[string]string{
		"drain.timeout": "13s --drain-timeout", "drain.flush": "500ms SLUICE_DRAIN_FLUSH", "log.level": "warn SLUICE_LOG_LEVEL",
		"limits.head": "32KiB SLUICE_LIMITS_HEAD", "log.access": "false SLUICE_LOG_ACCESS", "limits.fields": "7 SLUICE_LIMITS_FIELDS",
		"policy.dir": "p f.yaml:3", "listeners[0].address": ":8080 f.yaml:2", "listeners[0].protocol": "http default", "lame_duck.min": "5s default",
	}
	for _, s := range mustLoad(t, src).Settings() {
		if w, ok := want[s.Path]; ok && s.Value+" "+s.Origin.String() != w {
			t.Errorf("%s: %s %s, want %s", s.Path, s.Value, s.Origin, w)
		}
		delete(want, s.Path)
	}
	if len(want) != 0 {
		t.Errorf("not listed: %v", want)
	}
}

// Every scalar of the file can be set by its variable, under the one rule.
func TestEveryScalarHasAVariable(t *testing.T) {
	full := mustLoad(t, read(t, "full.yaml"))
	asking := strings.Replace(minimal, `":8080"`, `":8080", tls: {dir: d, client_certificates: {mode: request, ca_file: c}}`, 1) + // which a way to authenticate needs
		"etcd: {endpoints: [\"https://etcd:2379\"]}\n" // and policy.source, and a fleet
	src := Source{Name: "f", Text: []byte(asking)}
	want := map[string]string{}
	for _, s := range full.Settings() {
		for _, path := range Scalars() {
			if path == s.Path {
				src.Env = append(src.Env, EnvName(path)+"="+s.Value)
				want[path] = s.Value
			}
		}
	}
	if len(want) < 35 || len(want) != len(Scalars()) {
		t.Fatalf("%d of %d scalars in full.yaml", len(want), len(Scalars()))
	}
	for _, s := range mustLoad(t, src).Settings() {
		if w, ok := want[s.Path]; ok && (s.Value != w || s.Origin.Kind != FromEnv) {
			t.Errorf("%s: %s from %s, want %s", s.Path, s.Value, s.Origin, w)
		}
	}
}

func TestEnvironmentAndFlagFaults(t *testing.T) {
	_, err := Load(Source{Name: "f", Text: []byte(minimal),
		Env: []string{"SLUICE_DRAIN_TIMOUT=1s", "SLUICE_DRAIN_TIMEOUT=30", "SLUICE_LIMITS_FIELDS=a b", "SLUICE_LOG_LEVEL=loud\nx: y",
			"SLUICE_LIMITS_MAX_CONNECTIONS=-5", "SLUICE_PROBES_ADDRESS=nowhere",
			// What Kubernetes sets for a service named sluice, and for one named sluice-admin.
			"SLUICE_SERVICE_HOST=10.0.0.1", "SLUICE_PORT=tcp://10.0.0.1:80", "SLUICE_PORT_80_TCP_ADDR=x", "SLUICE_ADMIN_SERVICE_PORT_HTTP=1", "SLUICE_CONFIG=f"},
		Flags: map[string]string{"lame_duck.min": "x"}})
	if err == nil {
		t.Fatal("loaded")
	}
	golden(t, "environment.report", err.Error()+"\n")
}

func TestQuickStart(t *testing.T) {
	c := mustLoad(t, Source{Listen: ":8080", PolicyElsewhere: true})
	if got, want := c.Listeners, []Listener{{Name: "main", Address: ":8080", Protocol: "http"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	_, err := Load(Source{Listen: "8080"})
	if err == nil {
		t.Fatal("loaded")
	}
	golden(t, "quick.report", err.Error()+"\n")
}

func TestDependentDefaults(t *testing.T) {
	c := mustLoad(t, Source{Name: "f", Text: []byte(minimal + "lame_duck: {min: 12s}\ndrain: {timeout: 4s}\n")})
	if got := c.LameDuck.NoticeAfter; got != 6*time.Second {
		t.Errorf("notice_after %s", got)
	}
	if got := c.LameDuck.Max; got != 12*time.Second {
		t.Errorf("max %s", got)
	}
	if got := c.Drain.IdleClose; got != 2*time.Second {
		t.Errorf("idle_close %s", got)
	}
	if got := c.Drain.CloseLead; got != time.Second {
		t.Errorf("close_lead %s", got)
	}
}

// The shipped defaults fit what Kubernetes grants by default.
func TestDefaultsFitKubernetes(t *testing.T) {
	c := mustLoad(t, Source{Name: "f", Text: []byte(minimal)})
	if got := c.StopBudget(); got > 30*time.Second {
		t.Errorf("a stop may take %s", got)
	}
}

func TestMapping(t *testing.T) {
	c := mustLoad(t, read(t, "full.yaml"))
	s := time.Second
	if got, want := c.DrainConfig(), (drain.Config{NoticeAfter: 4 * s, NoticeSpread: 2 * s, IdleClose: 8 * s, Timeout: 20 * s, FarewellLead: 3 * s}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	wantLife := lifecycle.Config{LameDuckMin: 6 * s, LameDuckMax: 12 * s, LameDuckQuiet: 3 * s, Timeout: 20 * s, TurnWait: 14 * s, Budget: 57 * s, Closing: 4500 * time.Millisecond}
	if got := c.LifecycleConfig(); !reflect.DeepEqual(got, wantLife) {
		t.Errorf("%+v, want %+v", got, wantLife)
	}
	wantProxy := proxy.Config{
		Listeners: []proxy.ListenerConfig{
			{Name: "web", Address: ":8080", HTTP2: true, OnlyHTTP2: true, MaxConnections: 60, ProxyFrom: []netip.Prefix{netip.MustParsePrefix("10.2.0.0/16")}},
			{Name: "db", Address: "127.0.0.1:5432", Protocol: proxy.TCP, MaxConnections: 70,
				ProxyFrom: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("::1/128")}}},
		Start:          proxy.Hold,
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")},
		HTTP2:          proxy.HTTP2{MaxStreams: 50, MaxRequests: 1000, MaxAge: 3600 * s},
		Limits:         h1.Limits{Head: 32 << 10, Line: 8 << 10, Fields: 50}, MaxConnections: 1000, PerSource: 20, MinRate: 200,
		HeaderTimeout: 5 * s, BodyTimeout: 30 * s, WriteTimeout: 20 * s, IdleTimeout: 90 * s, StageTimeout: 2 * s,
		Access: proxy.Access{Sample: 10, Redact: []string{"peer", "path"}, Template: "{time} {status}"},
		Linger: s / 4, HalfOpenTimeout: 60 * s, PeerTimeout: 6 * s, FarewellLead: 3 * s, DrainTimeout: 20 * s, LameDuckMax: 12 * s,
	}
	if got := c.ProxyConfig(); !reflect.DeepEqual(got, wantProxy) {
		t.Errorf("%+v, want %+v", got, wantProxy)
	}
	none := mustLoad(t, Source{Name: "f", Text: []byte(minimal + "lame_duck: {quiet: 0s, notice_after: 0s}\ndrain: {idle_close: 0s, close_lead: 0s}\n")})
	if d := none.DrainConfig(); d.NoticeAfter >= 0 || d.FarewellLead >= 0 || d.IdleClose >= 0 || none.LifecycleConfig().LameDuckQuiet >= 0 {
		t.Errorf("0 in the file is not off: %+v", d)
	}
}

func TestAddressesOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"0.0.0.0", "127.0.0.1", true}, {"::", "127.0.0.1", true}, {"::", "::1", true}, {"::", "0.0.0.0", true},
		{"0.0.0.0", "::1", false}, {"127.0.0.1", "127.0.0.2", false}, {"::1", "::1", true},
	} {
		a, b := netip.MustParseAddr(c.a), netip.MustParseAddr(c.b)
		if got := overlap(a, b); got != c.want || overlap(b, a) != c.want {
			t.Errorf("%s and %s: %v", a, b, got)
		}
	}
}

// Whatever the file says: no panic; an error or a config whose stop fits its platform.
func FuzzLoad(f *testing.F) {
	for _, name := range []string{"full.yaml", "broken.yaml"} {
		text, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "30s")
	}
	f.Add([]byte(minimal), "1")
	f.Fuzz(func(t *testing.T, text []byte, timeout string) {
		c, err := Load(Source{Name: "f", Text: text, Env: []string{"SLUICE_DRAIN_TIMEOUT=" + timeout}})
		if (c == nil) == (err == nil) {
			t.Fatalf("%v, %v", c, err)
		}
		if err != nil {
			if err.Error() == "" {
				t.Error("a silent fault")
			}
			return
		}
		if c.Version != 1 || len(c.Listeners) == 0 || c.StopBudget() > c.Platform.StopTimeout || c.Drain.Timeout <= 0 {
			t.Errorf("loaded %+v", c)
		}
		c.ProxyConfig()
	})
}
