#!/usr/bin/env bash
# Starts our server with the conformance models and runs every case against it: first in control mode none, then
# in explicit mode with a part of the gRPC API restricted.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools/setup test
[ -n "${TEPAL_BUILT:-}" ] || tools/build all
build=${TEPAL_BUILD:-build/release}
log=$(mktemp)
server=
finish() {
  [ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
  server=
}
trap 'finish; rm -f "$log"' EXIT

start() { # flags of the server
  read -r http grpc metrics < <(/usr/bin/python3 -c 'import socket
s = [socket.socket() for _ in range(3)]
[x.bind(("127.0.0.1", 0)) for x in s]
print(*[x.getsockname()[1] for x in s])')
  "$build/bin/tepal" serve --model-repository=test/conformance/models --http-address=127.0.0.1 --http-port="$http" \
    --grpc-address=127.0.0.1 --grpc-port="$grpc" --metrics-port="$metrics" --allow-client-shm=true \
    --http-max-input-size=268435456 --lame-duck-secs=0 "$@" >"$log" 2>&1 &
  server=$!
  for _ in $(seq 100); do
    if curl -sf -o /dev/null "http://127.0.0.1:$http/v2/health/ready"; then return; fi
    kill -0 "$server" 2>/dev/null || { cat "$log" >&2; exit 1; }
    sleep 0.1
  done
}
run() { .cache/venv/bin/python test/conformance/run.py --grpc "127.0.0.1:$grpc" --folder "$1" "127.0.0.1:$http"; }

status=0
start
run cases || status=1
run grpc || status=1
finish
start --model-control-mode=explicit --load-model='*' --grpc-restricted-protocol=logging,statistics:conformance-key=secret
run explicit || status=1
exit $status
