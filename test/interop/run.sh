#!/usr/bin/env bash
# gRPC's interoperability cases between our layer and grpc-go, each as the client and as the server: plain, over TLS,
# and with every message compressed. Prints a table; exits with 1 when a case has failed.
#
#   test/interop/run.sh [BUILD]      BUILD: a configured build folder, build/release when left out
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build/release}
tools/setup interop
[ -f "$build/build.ninja" ] || cmake --preset release >/dev/null
ninja -C "$build" --quiet interop
ours=$build/bin
theirs=$PWD/.cache/interop
mkdir -p "$theirs"
(cd test/interop && ../../tools/go build -o "$theirs/" google.golang.org/grpc/interop/client \
  google.golang.org/grpc/interop/server ./compressed)
certificates=$(cd test/interop && ../../tools/go list -m -f '{{.Dir}}' google.golang.org/grpc)/testdata
name=foo.test.google.fr  # For which they are.

cases=(empty_unary large_unary client_streaming server_streaming ping_pong empty_stream timeout_on_sleeping_server
  cancel_after_begin cancel_after_first_response status_code_and_message special_status_message custom_metadata
  unimplemented_method unimplemented_service pick_first_unary rpc_soak channel_soak)
limit="timeout 60"
logs=$(mktemp -d)
servers=()
cleanup() { [ ${#servers[@]} -eq 0 ] || kill "${servers[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$logs"; }
trap cleanup EXIT

serve() {  # serve NAME COMMAND...: sets `port` once it listens.
  local log=$logs/$1; shift
  "$@" >"$log" 2>&1 & servers+=($!)
  for _ in $(seq 100); do
    port=$(sed -nE 's/.*listening on .*:([0-9]+)$/\1/p' "$log" | head -n 1)
    [ -z "$port" ] || return 0
    sleep 0.1
  done
  cat "$log" >&2; echo "interop: no server within 10 s: $*" >&2; exit 1
}

declare -A result
failed=0
record() {  # record COLUMN CASE ok|FAILED LOG
  result[$1,$2]=$3
  [ "$3" = FAILED ] || return 0
  failed=$((failed + 1))
  echo "interop: $1, $2:" >&2; tail -n 5 "$4" >&2
}
their_clients() {  # their_clients COLUMN COMMAND...: one process a case.
  local column=$1 case outcome; shift
  for case in "${cases[@]}"; do
    if [[ $column == *gzip ]] && ! grep -q "\"$case\":" test/interop/compressed/main.go; then continue; fi
    if $limit "$@" -test_case "$case" >"$logs/case" 2>&1; then outcome=ok; else outcome=FAILED; fi
    record "$column" "$case" $outcome "$logs/case"
  done
}
our_client() {  # our_client COLUMN FLAGS...: one process for all.
  local column=$1 case outcome; shift
  $limit "$ours/interop_client" "$@" >"$logs/cases" 2>&1 || true
  for case in "${cases[@]}"; do
    outcome=$(awk -v case="$case" '$1 == case { print $2 == "ok" ? "ok" : "FAILED" }' "$logs/cases")
    [ -z "$outcome" ] || record "$column" "$case" "$outcome" "$logs/cases"
  done
  # Without its last case it did not get that far.
  grep -q '^rpc_soak' "$logs/cases" || record "$column" rpc_soak FAILED "$logs/cases"
}

soak=(-soak_iterations 200 -soak_num_threads 4 -soak_overall_timeout_seconds 50)
serve ours "$ours/interop_server"
their_clients "go>tepal" "$theirs/client" -server_host 127.0.0.1 -server_port "$port" "${soak[@]}"
serve ours-tls "$ours/interop_server" --tls-cert "$certificates/server1.pem" --tls-key "$certificates/server1.key"
their_clients "go>tepal tls" "$theirs/client" -server_host 127.0.0.1 -server_port "$port" -use_tls -use_test_ca \
  -ca_file "$certificates/ca.pem" -server_host_override $name "${soak[@]}"
serve ours-gzip "$ours/interop_server" --compress
their_clients "go>tepal gzip" "$theirs/compressed" -server "127.0.0.1:$port"

export GRPC_GO_LOG_SEVERITY_LEVEL=info  # So that it says where it listens.
serve theirs "$theirs/server" -port 0
our_client "tepal>go" --server "127.0.0.1:$port"
serve theirs-tls "$theirs/server" -port 0 -use_tls -tls_cert_file "$certificates/server1.pem" \
  -tls_key_file "$certificates/server1.key"
our_client "tepal>go tls" --server "127.0.0.1:$port" --tls-ca "$certificates/ca.pem" --tls-name $name
serve theirs-gzip "$theirs/compressed" -serve
our_client "tepal>go gzip" --server "127.0.0.1:$port" --gzip

columns=("go>tepal" "go>tepal tls" "go>tepal gzip" "tepal>go" "tepal>go tls" "tepal>go gzip")
printf '%-28s' "client>server"; printf '%-15s' "${columns[@]}"; echo
for case in "${cases[@]}"; do
  printf '%-28s' "$case"
  for column in "${columns[@]}"; do printf '%-15s' "${result[$column,$case]:--}"; done
  echo
done
echo "interop: $((${#result[@]} - failed)) passed, $failed failed; -: the client has no such case"
[ $failed -eq 0 ]
