#!/usr/bin/env bash
# Installs what the tests need and this machine lacks: real clients and upstreams, and a
# C compiler for the race detector. Debian and its relatives; elsewhere it says what is missing.
set -euo pipefail
need=()
command -v nginx  >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || need+=(nginx-light)
command -v wrk    >/dev/null 2>&1 || need+=(wrk)
command -v h2load >/dev/null 2>&1 || need+=(nghttp2-client)
command -v curl   >/dev/null 2>&1 || need+=(curl ca-certificates)
command -v gcc    >/dev/null 2>&1 || need+=(gcc libc6-dev)
command -v jq     >/dev/null 2>&1 || need+=(jq)
if [ "${1:-}" = browser ]; then # for make heavy: 80 MB and more
  command -v chromium >/dev/null 2>&1 || need+=(chromium)
  command -v npm >/dev/null 2>&1 || need+=(nodejs npm) # for ws, axe-core and oidc-provider
fi
if [ "${1:-}" = peers ]; then # the other proxies of make score-peers; one that cannot be had is left out
  command -v haproxy >/dev/null 2>&1 || [ -x /usr/sbin/haproxy ] || need+=(haproxy)
  bin=$(cd "$(dirname "$0")/.." && pwd)/bin
  if [ ! -x "$bin/caddy" ] && ! command -v caddy >/dev/null 2>&1; then
    GOBIN=$bin "${GO:-go}" install github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.9 ||
      echo "setup: Caddy could not be built; its row will be missing" >&2
  fi
fi
bin=$(cd "$(dirname "$0")/.." && pwd)/bin
wanted=(promtool)
[ "${1:-}" != prometheus ] || wanted+=(prometheus) # for make heavy: 110 MB
for name in "${wanted[@]}"; do
  [ -x "$bin/$name" ] || command -v "$name" >/dev/null 2>&1 || promtool=missing
done
[ ${#need[@]} -gt 0 ] || [ "${promtool:-}" = missing ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
  echo "setup: please install: ${need[*]} ${promtool:+${wanted[*]}}" >&2
  exit 1
fi
sudo=""
[ "$(id -u)" = 0 ] || sudo="sudo"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
[ ${#need[@]} -eq 0 ] || $sudo apt-get install -y -qq --no-install-recommends "${need[@]}"
if [ "${promtool:-}" = missing ]; then # only the programs: the package would start a server
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
  (cd "$dir" && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb x)
  mkdir -p "$bin"
  for name in "${wanted[@]}"; do cp "$dir/x/usr/bin/$name" "$bin/"; done
fi
