package front

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
)

// nginx has no checks: a refused connection goes to the next server (proxy_next_upstream is at
// its default). max_fails=0, since by default one refusal takes a server out for 10 s, which is
// longer than the pause between two restarts.
func (f *Front) nginx() string {
	const module = "/usr/lib/nginx/modules/ngx_stream_module.so"
	var b strings.Builder
	if os.Geteuid() == 0 {
		b.WriteString("user root;\n")
	}
	_, err := os.Stat(module)
	if err == nil {
		fmt.Fprintf(&b, "load_module %s;\n", module)
	}
	upstream := func(addr func(place) string) string {
		text := "upstream replicas {"
		for _, name := range slices.Sorted(maps.Keys(f.places)) {
			text += " server " + addr(f.places[name]) + " max_fails=0;"
		}
		return text + " }"
	}
	fmt.Fprintf(&b, `daemon off;
worker_processes 2;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log crit;
events { worker_connections 16384; }
http {
  access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi; uwsgi_temp_path %[1]s/uwsgi; scgi_temp_path %[1]s/scgi;
  keepalive_timeout 620s; keepalive_requests 1000000; client_max_body_size 0;
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  %[2]s
  server {
    listen %[3]s backlog=4096;
    location / {
      proxy_pass http://replicas;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }
  }
}
`, f.cfg.Dir, upstream(func(p place) string { return p.Web }), f.web)
	if err == nil {
		fmt.Fprintf(&b, "stream { %s server { listen %s backlog=4096; proxy_pass replicas; } }\n", upstream(func(p place) string { return p.Raw }), f.raw)
	}
	return b.String()
}
