package front

import (
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// haproxy checks readiness; retries, rise and fall are its defaults.
func (f *Front) haproxy() string {
	var b strings.Builder
	fmt.Fprintf(&b, `global
  maxconn 8000
  nbthread 2
  stats socket %s mode 600 level user
defaults
  timeout connect 5s
  timeout client 620s
  timeout server 620s
  timeout tunnel 620s
  backlog 4096
  option httpchk GET %s
  default-server inter %dms check
frontend web
  mode http
  bind %s
  default_backend web
backend web
  mode http
`, f.socket(), f.cfg.Ready, max(f.cfg.Poll.Milliseconds(), 1), f.web)
	f.servers(&b, func(p place) string { return p.Web })
	fmt.Fprintf(&b, "listen raw\n  mode tcp\n  bind %s\n", f.raw)
	f.servers(&b, func(p place) string { return p.Raw })
	return b.String()
}

func (f *Front) servers(b *strings.Builder, addr func(place) string) {
	for _, name := range slices.Sorted(maps.Keys(f.places)) {
		p := f.places[name]
		_, port, _ := net.SplitHostPort(p.Probe)
		fmt.Fprintf(b, "  server %s %s port %s\n", name, addr(p), port)
	}
}

func (f *Front) socket() string { return filepath.Join(f.cfg.Dir, "stats.sock") }

// stat is what HAProxy says of a server of the backend web.
type stat struct {
	up       bool
	sessions int
}

func (f *Front) stat(server string) (s stat) {
	c, err := net.DialTimeout("unix", f.socket(), time.Second)
	if err != nil {
		return s
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(c, "show stat\n"); err != nil {
		return s
	}
	in := csv.NewReader(c)
	in.FieldsPerRecord = -1
	rows, err := in.ReadAll()
	if err != nil || len(rows) == 0 {
		return s
	}
	column := func(row []string, name string) string {
		if i := slices.Index(rows[0], name); i >= 0 && i < len(row) {
			return row[i]
		}
		return ""
	}
	for _, row := range rows[1:] {
		if len(row) > 1 && row[0] == "web" && row[1] == server {
			s.up = strings.HasPrefix(column(row, "status"), "UP")
			s.sessions, _ = strconv.Atoi(column(row, "stot"))
		}
	}
	return s
}
