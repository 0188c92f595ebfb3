#!/usr/bin/env bash
# Starts our server with the conformance models and runs every case against it.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ -n "${TEPAL_BUILT:-}" ] || tools/build all
build=build/release
log=$(mktemp)
read -r http metrics < <(/usr/bin/python3 -c 'import socket
s = [socket.socket() for _ in range(2)]
[x.bind(("127.0.0.1", 0)) for x in s]
print(*[x.getsockname()[1] for x in s])')
"$build/bin/tepal" serve --model-repository=test/conformance/models --http-address=127.0.0.1 --http-port="$http" \
  --metrics-port="$metrics" --allow-grpc=false --allow-client-shm=true --http-max-input-size=268435456 \
  --lame-duck-secs=0 >"$log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -f "$log"' EXIT
for _ in $(seq 100); do
  if curl -sf -o /dev/null "http://127.0.0.1:$http/v2/health/ready"; then break; fi
  kill -0 "$server" 2>/dev/null || { cat "$log" >&2; exit 1; }
  sleep 0.1
done
test/conformance/run.py "127.0.0.1:$http"
