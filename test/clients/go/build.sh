#!/usr/bin/env bash
# Builds grpcurl and the Go client into .cache/clients; the client's code is generated from src/core/proto each time, and
# stays beside them.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../../.. && pwd)
out=$root/.cache/clients
module=$out/module
mkdir -p "$module/inference"
cp go.mod go.sum ./*.go "$module/"
cd "$module"
go=$root/tools/go
"$go" build -o "$out/" github.com/fullstorydev/grpcurl/cmd/grpcurl google.golang.org/protobuf/cmd/protoc-gen-go \
  google.golang.org/grpc/cmd/protoc-gen-go-grpc
package='tepal/test/clients/go/inference'
protos=(core/proto/inference.proto core/proto/model_config.proto)
names="module=tepal/test/clients/go$(printf ",M%s=$package" "${protos[@]}")"
protoc -I "$root/src" --plugin="$out/protoc-gen-go" --plugin="$out/protoc-gen-go-grpc" \
  --go_out=. --go_opt="$names" --go-grpc_out=. --go-grpc_opt="$names" "${protos[@]}"
"$go" build -o "$out/go_client" .
