#!/bin/sh
# Triton's own python backend, the binary of the nvidia-pytriton wheel, in our server: the plugin
# boundary is the field's. Exits 0 when a Python model answers through it.
#
#   test/peers/python_backend.sh --tepal PROGRAM --unpacked DIR [--port PORT]
#
#   --tepal      build/release/bin/tepal; ../lib/tepal/libtritonserver.so is expected beside it
#   --unpacked   where test/peers/triton.sh has unpacked the wheel
#
# Needs python3-numpy, as Triton's backend does. The wheel's build tool gave the library's name a
# suffix; the empty library is offered under that name.
set -eu

tepal= unpacked= port=28530
while [ $# -gt 1 ]; do
  case $1 in
    --tepal) tepal=$2 ;;
    --unpacked) unpacked=$2 ;;
    --port) port=$2 ;;
    *) echo "python_backend.sh: unknown option '$1' (see the head of this file)" >&2; exit 2 ;;
  esac
  shift 2
done
backends=$unpacked/pytriton/tritonserver/backends
[ -x "$backends/python/triton_python_backend_stub" ] || {
  echo "python_backend.sh: no python backend under '$unpacked'; run test/peers/triton.sh once" >&2
  exit 2
}
work=$(mktemp -d)
server=
finish() {
  [ -z "$server" ] || { kill -TERM "$server" 2>/dev/null || true; wait "$server" || true; }
  rm -rf "$work"
}
trap finish EXIT

mkdir -p "$work/lib" "$work/models/double/1"
for library in "$unpacked"/nvidia_pytriton.libs/libtritonserver*.so; do
  cp "$(dirname "$tepal")/../lib/tepal/libtritonserver.so" "$work/lib/$(basename "$library")"
done
cat >"$work/models/double/config.pbtxt" <<'CONFIG'
backend: "python"
max_batch_size: 8
input { name: "X" data_type: TYPE_FP32 dims: 2 }
output { name: "Y" data_type: TYPE_FP32 dims: 2 }
instance_group { kind: KIND_CPU }
CONFIG
cat >"$work/models/double/1/model.py" <<'MODEL'
import triton_python_backend_utils as triton


class TritonPythonModel:
    def execute(self, requests):
        tensors = [triton.get_input_tensor_by_name(r, "X").as_numpy() for r in requests]
        return [triton.InferenceResponse([triton.Tensor("Y", 2 * x)]) for x in tensors]
MODEL

LD_LIBRARY_PATH="$work/lib:$unpacked/nvidia_pytriton.libs" "$tepal" serve \
  --model-repository="$work/models" --backend-directory="$backends" --http-address=127.0.0.1 \
  --http-port="$port" --allow-metrics=false --allow-grpc=false >"$work/log" 2>&1 &
server=$!
tries=0
until curl -sf "http://127.0.0.1:$port/v2/health/ready" >/dev/null; do
  tries=$((tries + 1))
  if [ $tries -gt 300 ] || ! kill -0 "$server" 2>/dev/null; then
    cat "$work/log" >&2
    exit 1
  fi
  sleep 0.1
done
answer=$(curl -s "http://127.0.0.1:$port/v2/models/double/infer" \
  -d '{"inputs":[{"name":"X","datatype":"FP32","shape":[1,2],"data":[1.5,-4]}]}')
echo "$answer"
case $answer in
  *'"data":[3.0,-8.0]'*) ;;
  *) cat "$work/log" >&2; exit 1 ;;
esac
