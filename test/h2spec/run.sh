#!/usr/bin/env bash
# h2spec, every case, against each door of `tepal serve`. Prints what fails; exits with 1 when that is more than the
# case that nghttp2 itself does not pass.
#
#   test/h2spec/run.sh [BUILD]      BUILD: a configured build folder, build/release when left out
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build/release}
tools/setup interop
[ -f "$build/build.ninja" ] || cmake --preset release >/dev/null
ninja -C "$build" --quiet tepal
theirs=$PWD/.cache/h2spec
mkdir -p "$theirs"
(cd test/h2spec && ../../tools/go build -o "$theirs/" github.com/summerwind/h2spec/cmd/h2spec)

logs=$(mktemp -d)
server=
cleanup() { [ -z "$server" ] || { kill -9 "$server" 2>/dev/null || true; wait 2>/dev/null || true; }; rm -rf "$logs"; }
trap cleanup EXIT
mkdir "$logs/models"
"$build/bin/tepal" serve --model-repository="$logs/models" --allow-metrics=false \
  --http-address=127.0.0.1 --http-port=0 --grpc-address=127.0.0.1 --grpc-port=0 >"$logs/serve" 2>&1 & server=$!
port_of() { sed -nE "s/.*Started $1 at [^ ]*:([0-9]+).*/\1/p" "$logs/serve"; }
for _ in $(seq 100); do [ -z "$(port_of HTTPService)" ] || break; sleep 0.1; done
[ -n "$(port_of HTTPService)" ] || { cat "$logs/serve" >&2; exit 1; }

failed=0
for door in HTTPService GRPCInferenceService; do
  # Its headers that are too large for a frame must be too large for ours, of 64 KiB and not 16.
  timeout 60 "$theirs/h2spec" -h 127.0.0.1 -p "$(port_of $door)" -o 1 --max-header-length 15500 \
    -j "$logs/report" >"$logs/h2spec" 2>&1 || true
  grep -q '^Finished in' "$logs/h2spec" || { cat "$logs/h2spec" >&2; exit 1; }
  # 5.1.1/2, a stream's number smaller than one before: nghttp2 takes it for a stream that was closed, and ignores it.
  unexpected=$(python3 - "$logs/report" <<'PYTHON'
import sys, xml.etree.ElementTree as tree
known = "Sends stream identifier that is numerically smaller than previous"
for case in tree.parse(sys.argv[1]).iter("testcase"):
    if (case.find("failure") is not None or case.find("error") is not None) and case.get("classname") != known:
        print(case.get("package"), case.get("classname"))
PYTHON
)
  echo "h2spec: $door: $(tail -n 1 "$logs/h2spec")"
  [ -z "$unexpected" ] || { sed -n '/^Failures/,$p' "$logs/h2spec" >&2; failed=1; }
  kill -0 "$server" || { echo "h2spec: the server has gone" >&2; exit 1; }
done
exit $failed
