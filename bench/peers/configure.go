//go:build linux

package main

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"text/template"
)

//go:embed conf
var confs embed.FS

const apiKey = "bench-key-4f1c2d7ab0934e6f8a55c1d2e3f40516"

// setting is what the configurations of the peers are made from.
type setting struct {
	Dir                   string
	Workers, Descriptors  int
	HTTP, TCP, Probes     int
	HTTPS, H2C            int
	Public                bool // sluice: no stages
	OriginHTTP, OriginTCP int
	OriginGRPC            int
	Log, Root             bool
	KeySum                string
	Routes                []route
}

type route struct{ N, Host int }

// newSetting chooses free ports. Somebody might take one before the proxy does; then it
// does not start and says so.
func newSetting(dir string, workers, descriptors int, r row, p ports) (s setting, err error) {
	s = setting{Dir: dir, Workers: workers, Descriptors: descriptors, OriginHTTP: p.http, OriginTCP: p.echo, OriginGRPC: p.grpc, Root: os.Geteuid() == 0}
	if r.bulkPort {
		s.OriginTCP = p.bulk
	}
	for _, port := range []*int{&s.HTTP, &s.TCP, &s.Probes, &s.HTTPS, &s.H2C} {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return s, err
		}
		defer func() { _ = l.Close() }()
		*port = l.Addr().(*net.TCPAddr).Port
	}
	sum := sha256.Sum256([]byte(apiKey))
	s.KeySum = hex.EncodeToString(sum[:])
	for n := range r.routes {
		s.Routes = append(s.Routes, route{n, n % 100})
	}
	return s, nil
}

func (s setting) render(name string) ([]byte, error) {
	text, err := confs.ReadFile("conf/" + name)
	if err != nil {
		return nil, err
	}
	t, err := template.New(name).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, s); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// write renders configurations into the folder of the run.
func (s setting) write(names map[string]string) error {
	for name, to := range names {
		b, err := s.render(name)
		if err != nil {
			return err
		}
		to = filepath.Join(s.Dir, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(to, b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// programs says where the binaries are; an empty one is missing.
type programs struct{ sluice, nginx, haproxy, caddy, floor string }

func (p programs) of(peer string) string {
	return map[string]string{us: p.sluice, "nginx": p.nginx, "haproxy": p.haproxy, "caddy": p.caddy, "floor": p.floor}[peer]
}

// command writes the configuration of an entrant and returns how it is started.
func (s setting) command(e entrant, r row, p programs) (args []string, err error) {
	s.Log = e.mode == shipped
	if err := s.certify(); err != nil {
		return nil, err
	}
	switch e.peer {
	case "nginx":
		return []string{p.nginx, "-p", s.Dir, "-c", filepath.Join(s.Dir, "nginx.conf"), "-e", "stderr"}, s.write(map[string]string{"nginx.conf": "nginx.conf"})
	case "haproxy":
		return []string{p.haproxy, "-db", "-f", filepath.Join(s.Dir, "haproxy.cfg")}, s.write(map[string]string{"haproxy.cfg": "haproxy.cfg"})
	case "caddy":
		return []string{p.caddy, "run", "--config", filepath.Join(s.Dir, "caddy.json")}, s.write(map[string]string{"caddy.json": "caddy.json"})
	case "floor":
		listen, to, how := s.HTTP, s.OriginHTTP, "copy"
		if r.raw() {
			listen, to = s.TCP, s.OriginTCP
		}
		if r.splice {
			how = "splice"
		}
		return []string{p.floor, strconv.Itoa(listen), strconv.Itoa(to), how, strconv.Itoa(s.Workers)}, nil
	case us:
		s.Public = e.mode == off
		if e.mode == off && !r.raw() && !r.wired() && r.routes == 0 {
			return s.public(p), nil
		}
		return []string{p.sluice, "run", "--config", filepath.Join(s.Dir, "sluice.yaml")},
			s.write(map[string]string{"sluice.yaml": "sluice.yaml", "policy.yaml": "policy/policy.yaml", "keys.yaml": "keys.yaml"})
	}
	panic("BUG: peers: no such entrant: " + e.peer)
}

// public is sluice with its stages off, by flags alone.
func (s setting) public(p programs) []string {
	return []string{p.sluice, "run", "--listen", at(s.HTTP), "--to", at(s.OriginHTTP), "--public", "--log-access", "false",
		"--limits-max-connections", "9000", "--probes-address", at(s.Probes), "--admin-address", "unix:" + filepath.Join(s.Dir, "admin.sock")}
}

func at(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// environment of a peer beside ours.
func (o options) environment(e entrant, workers int) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		cmd.Env = append(os.Environ(), "HOME="+cmd.Dir, "XDG_DATA_HOME="+cmd.Dir, "XDG_CONFIG_HOME="+cmd.Dir)
		if e.peer != us || o.engine == "" {
			return
		}
		loops := o.loops
		if loops == 0 {
			loops = workers
		}
		cmd.Env = append(cmd.Env, "SLUICE_ENGINE_DRIVER="+o.engine, "SLUICE_ENGINE_LOOPS="+strconv.Itoa(loops))
	}
}
