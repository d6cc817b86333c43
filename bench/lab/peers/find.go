package peers

import (
	"cmp"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/sluiceproxy/sluice/bench/lab/replica"
)

// GoShutdownCommand is the argument by which the lab's program becomes the Go reverse proxy.
const GoShutdownCommand = "go-shutdown"

// Names are the peers, in the order of the table.
func Names() []string {
	return []string{"haproxy", "nginx", "caddy", "envoy", "traefik", GoShutdownCommand}
}

// Places says where programs are looked for, beside the path.
type Places struct {
	Self string   // this program, which has go-shutdown in it
	Dirs []string // folders that go before the path
}

func (p Places) find(name string) (string, error) {
	for _, dir := range append(p.Dirs, "") {
		path := name
		if dir != "" {
			path = filepath.Join(dir, name)
			if _, err := os.Stat(path); err != nil {
				continue
			}
		}
		if found, err := exec.LookPath(path); err == nil {
			return filepath.Abs(found)
		}
	}
	return "", fmt.Errorf("%s is not installed", name)
}

// Find is the launcher of a peer. That it is not installed its Version says.
func Find(name string, places Places) (replica.Launcher, error) {
	if !slices.Contains(Names(), name) {
		return nil, fmt.Errorf("no proxy %q: there are sluice, %s", name, strings.Join(Names(), ", "))
	}
	places.Dirs = append(slices.Clone(places.Dirs), "/usr/sbin", "/usr/local/sbin")
	l := launcher{name: name, places: places}
	switch name {
	case "nginx":
		l.kind = nginx
		l.raw = nginxStreamModule() != ""
	case "haproxy":
		l.kind = haproxy
	case "caddy":
		l.kind = caddy
	case "envoy":
		l.kind = envoy
	case "traefik":
		l.kind = traefik
	default:
		l.kind = goShutdown
	}
	return l, nil
}

// launcher is a peer.
type launcher struct {
	kind
	name   string
	places Places
}

func (l launcher) Name() string { return l.name }
func (l launcher) Raw() bool    { return l.raw }
func (l launcher) HTTP2() bool  { return false } // our configurations of them do not ask for it

func (l launcher) program() (string, error) {
	if l.name == GoShutdownCommand {
		return l.places.Self, nil
	}
	return l.places.find(l.name)
}

// Version runs the program.
func (l launcher) Version(ctx context.Context) (string, error) {
	program, err := l.program()
	if err != nil {
		return "", err
	}
	if l.version == nil {
		return runtime.Version(), nil // built in
	}
	out, err := exec.CommandContext(ctx, program, l.version...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %.200s", l.name, err, out)
	}
	if v := versionOf(string(out)); v != "" {
		return v, nil
	}
	return cmp.Or(moduleVersion(program), "of unknown version"), nil
}

// moduleVersion is what a program that the Go proxy's sources were built into says of itself; empty: nothing.
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

// versionOf is the first word that begins with a digit, behind "v" or a slash; empty: none.
func versionOf(out string) string {
	for _, w := range strings.FieldsFunc(out, func(r rune) bool { return strings.ContainsRune(" \n\t/:", r) }) {
		if w = strings.TrimPrefix(w, "v"); w != "" && '0' <= w[0] && w[0] <= '9' {
			return w
		}
	}
	return ""
}
