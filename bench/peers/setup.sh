#!/usr/bin/env bash
# Installs what `make bench-peers` compares with, where it is missing: nginx with its
# stream module and haproxy from Debian, a C compiler for the floor, and Caddy, built
# through the Go proxy into the folder given (default bin). Only Caddy may fail: its
# column is then left out.
set -euo pipefail
caddy_version=v2.11.9
bin=${1:-bin}
need=()
command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || need+=(nginx-light)
[ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || need+=(libnginx-mod-stream)
command -v haproxy >/dev/null 2>&1 || [ -x /usr/sbin/haproxy ] || need+=(haproxy)
command -v gcc >/dev/null 2>&1 || need+=(gcc libc6-dev)
command -v taskset >/dev/null 2>&1 || need+=(util-linux)
if [ ${#need[@]} -gt 0 ]; then
  if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: please install: ${need[*]}" >&2
    exit 1
  fi
  sudo=""
  [ "$(id -u)" = 0 ] || sudo="sudo"
  export DEBIAN_FRONTEND=noninteractive
  $sudo apt-get update -qq
  $sudo apt-get install -y -qq --no-install-recommends "${need[@]}"
fi
if [ ! -x "$bin/caddy" ] && ! command -v caddy >/dev/null 2>&1; then
  mkdir -p "$bin"
  GOBIN=$(cd "$bin" && pwd) "${GO:-go}" install "github.com/caddyserver/caddy/v2/cmd/caddy@$caddy_version" ||
    echo "setup: Caddy could not be built; its column will be missing" >&2
fi
