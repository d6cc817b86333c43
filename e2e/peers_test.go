package e2e

import (
	"cmp"
	"debug/buildinfo"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// peer is another proxy: how it is found and started in front of an upstream.
type peer struct {
	name    string
	version []string // arguments that print it
	config  func(dir, listen, upstream string) (file, text string)
	run     func(file, dir string) []string
}

// peers are configured as plainly as they can be: everything goes to one upstream,
// connections are kept on both sides, and nothing is retried or buffered that need not be.
var peers = []peer{
	{"nginx", []string{"-v"}, func(dir, listen, upstream string) (string, string) {
		return "nginx.conf", fmt.Sprintf(`daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr crit;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	client_max_body_size 0;
	map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
	upstream app { server %[3]s; keepalive 16; }
	server {
		listen %[2]s;
		location / {
			proxy_pass http://app;
			proxy_http_version 1.1;
			proxy_set_header Host $http_host;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection $connection_upgrade;
			proxy_request_buffering off;
			proxy_next_upstream error timeout;
		}
	}
}
`, dir, listen, upstream)
	}, func(file, dir string) []string { return []string{"-p", dir, "-c", file, "-e", "stderr"} }},
	{"haproxy", []string{"-v"}, func(_, listen, upstream string) (string, string) {
		return "haproxy.cfg", fmt.Sprintf(`global
	nbthread 1
defaults
	mode http
	timeout connect 5s
	timeout client 10s
	timeout server 10s
	timeout http-keep-alive 10s
frontend web
	bind %s
	default_backend app
backend app
	http-reuse always
	server app %s
`, listen, upstream)
	}, func(file, _ string) []string { return []string{"-db", "-f", file} }},
	{"caddy", []string{"version"}, func(_, listen, upstream string) (string, string) {
		return "caddy.json", fmt.Sprintf(`{"admin": {"disabled": true, "config": {"persist": false}},
"logging": {"logs": {"default": {"level": "PANIC"}}},
"apps": {"http": {"servers": {"web": {"listen": [%q], "automatic_https": {"disable": true}, "protocols": ["h1"],
"routes": [{"handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": %q}]}]}]}}}}}
`, listen, upstream)
	}, func(file, _ string) []string { return []string{"run", "--config", file} }},
}

// find is the program of a peer, in bin/ or in the path; empty: it is not installed.
func (p *peer) find() string {
	if built, err := filepath.Abs(filepath.Join("..", "bin", p.name)); err == nil {
		if _, err := os.Stat(built); err == nil {
			return built
		}
	}
	for _, name := range []string{p.name, "/usr/sbin/" + p.name} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// start runs a peer and waits until it listens.
func (p *peer) start(t *testing.T, program, upstream string) (addr string) {
	t.Helper()
	dir, addr := t.TempDir(), freeAddress(t)
	file, text := p.config(dir, addr, upstream)
	file = filepath.Join(dir, file)
	write(t, file, text)
	launch(t, []string{"XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir, "GOMAXPROCS=1"}, program, p.run(file, dir)...)
	eventually(t, p.name+" listens", func() bool {
		c, err := net.DialTimeout("tcp", addr, patience)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return addr
}

// TestPeersScore plays the tables against other proxies and writes the score of each
// beside ours: E2E_PEERS=1, or make score-peers. They are judged by meaning, not to the byte, and
// not on rules of our own (cases/README.md); nothing they do fails this test.
func TestPeersScore(t *testing.T) {
	if os.Getenv("E2E_PEERS") == "" {
		t.Skip("E2E_PEERS is not set")
	}
	report := &strings.Builder{}
	fmt.Fprintf(report, "# Case tables, side by side, %s\n\n", time.Now().UTC().Format(time.DateOnly))
	fmt.Fprintf(report, "%s/%s. The tables, the three grades, and how other proxies are judged: `e2e/cases/README.md`.\n", runtime.GOOS, runtime.GOARCH)
	report.WriteString(peersNote)
	fmt.Fprintf(report, "| proxy | requests | unsafe | wrong | lenient | responses | unsafe | wrong | lenient |\n|---|---|---|---|---|---|---|---|---|\n")
	details := &strings.Builder{}
	scoreSluice(t, report, details)
	for i := range peers {
		scorePeer(t, &peers[i], report, details)
	}
	text := report.String() + "\n## What was unsafe and wrong\n" + details.String()
	t.Log("\n" + report.String())
	if to := os.Getenv("E2E_PEERS_REPORT"); to != "" {
		write(t, to, text)
	}
}

func scoreSluice(t *testing.T, report, details *strings.Builder) {
	up := newRecorder(t)
	s := run(t, setup{policy: strictPolicy(up.addr()), env: []string{"GOMAXPROCS=1"}})
	s.await(t, "serving", msg("serving"))
	scoreTables(t, "sluice", target{name: "sluice", addr: s.web, up: up}, report, details)
}

func scorePeer(t *testing.T, p *peer, report, details *strings.Builder) {
	program := p.find()
	if program == "" {
		t.Logf("%s is not installed: its row is missing (e2e/setup.sh peers)", p.name)
		fmt.Fprintf(report, "| %s | not installed | | | | | | | |\n", p.name)
		return
	}
	out, err := exec.Command(program, p.version...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	version := cmp.Or(versionOf(string(out)), moduleVersion(program), "of unknown version")
	up := newRecorder(t)
	addr := p.start(t, program, up.addr())
	scoreTables(t, p.name+" "+version, target{name: p.name, addr: addr, up: up}, report, details)
}

// versionOf is the first word of an output that begins with a digit, behind "v" or a slash.
func versionOf(out string) string {
	for _, word := range strings.FieldsFunc(out, func(r rune) bool { return strings.ContainsRune(" \n/", r) }) {
		if w := strings.TrimPrefix(word, "v"); w != "" && '0' <= w[0] && w[0] <= '9' {
			return w
		}
	}
	return ""
}

// moduleVersion is what a program built by the Go proxy says of itself; empty: nothing.
func moduleVersion(program string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return ""
	}
	for _, m := range append(info.Deps, &info.Main) {
		if strings.HasPrefix(m.Path, "github.com/caddyserver/caddy/") {
			return strings.TrimPrefix(m.Version, "v")
		}
	}
	return ""
}

func scoreTables(t *testing.T, title string, to target, report, details *strings.Builder) {
	to.exact, to.wait = false, 500*time.Millisecond
	p := &player{target: to}
	fmt.Fprintf(report, "| %s |", title)
	fmt.Fprintf(details, "\n### %s\n", title)
	for _, dir := range []string{"request", "response"} {
		var lines []string
		sc := p.score(t, readCases(t, dir), func(c *wireCase, f finding) {
			if f.grade == lenient { // there are many, and the table counts them
				return
			}
			why := fmt.Sprintf("%.110s", f.why)
			lines = append(lines, fmt.Sprintf("- %s: `%s` (RFC %s): %s\n", f.grade, c, c.rfc, why))
		})
		slices.Sort(lines)
		details.WriteString("\n" + strings.Join(lines, ""))
		fmt.Fprintf(report, " %d | %d | %d | %d |", sc.cases, sc.grades[unsafe], sc.grades[wrong], sc.grades[lenient])
	}
	report.WriteString("\n")
}

// peersNote stands above the table of results.
const peersNote = `Every proxy here is judged by meaning; Sluice is also judged to the byte by TestStrict. The others run as Debian and the
Go proxy have them, with the plain configurations of e2e/peers_test.go; an older version may lack fixes that its project has made. An
upgrade to h2c, TLS or another HTTP that reaches the upstream counts as a field that had to be removed; nginx forwards it because its
configuration asks for WebSocket. "No answer" means none within half a second while the upstream keeps its connection open.

`
