#!/bin/sh
# A real Triton 2.51 on loopback, from the nvidia-pytriton wheel, as a peer for conformance tests and
# benchmarks. It runs in the foreground until it gets SIGTERM or SIGINT.
#
#   test/peers/triton.sh --wheel WHEEL --unpacked DIR --models DIR [--backends DIR]
#                        [--http PORT] [--grpc PORT] [--metrics PORT] [-- tritonserver flags]
#
#   --unpacked   where the wheel is (to be) unpacked; reused when it is there
#   --backends   folder of plugins (<name>/libtriton_<name>.so) to offer beside Triton's own
#   ports        0 (the default) turns the door off
#
# Needs no GPU, no driver and no container. The python backend works where python3-numpy of Debian's
# Python 3.11 is installed.
set -eu

wheel= unpacked= models= backends= http=0 grpc=0 metrics=0
while [ $# -gt 0 ]; do
  case $1 in
    --wheel) wheel=$2 ;;
    --unpacked) unpacked=$2 ;;
    --models) models=$2 ;;
    --backends) backends=$2 ;;
    --http) http=$2 ;;
    --grpc) grpc=$2 ;;
    --metrics) metrics=$2 ;;
    --) shift; break ;;
    *) echo "triton.sh: unknown option '$1' (see the head of this file)" >&2; exit 2 ;;
  esac
  shift 2
done
for needed in unpacked models; do
  eval "value=\$$needed"
  [ -n "$value" ] || { echo "triton.sh: --$needed is missing" >&2; exit 2; }
done

home=$unpacked/pytriton/tritonserver
if [ ! -x "$home/bin/tritonserver" ]; then
  [ -f "$wheel" ] || { echo "triton.sh: no wheel at '$wheel' (nvidia_pytriton 0.7.0)" >&2; exit 2; }
  mkdir -p "$unpacked"
  python3 -m zipfile -e "$wheel" "$unpacked"
  chmod +x "$home/bin/tritonserver"
fi
stubs=$home/python_backend_stubs/3.11
if [ -d "$stubs" ] && [ ! -e "$home/backends/python/triton_python_backend_stub" ]; then
  cp "$stubs/triton_python_backend_stub" "$home/backends/python/"
  chmod +x "$home/backends/python/triton_python_backend_stub"
fi

# One folder with Triton's backends and ours: a server takes a single --backend-directory.
merged=$(mktemp -d)
for backend in "$home"/backends/* ${backends:+"$backends"/*}; do
  [ -d "$backend" ] && ln -sfn "$(realpath "$backend")" "$merged/$(basename "$backend")"
done

door() { # name, port: the flags of one door
  if [ "$2" = 0 ]; then echo "--allow-$1=false"; else echo "--allow-$1=true --$1-port=$2"; fi
}
export LD_LIBRARY_PATH="$unpacked/nvidia_pytriton.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
server=
finish() {
  [ -z "$server" ] || kill -TERM "$server" 2>/dev/null || true
  [ -z "$server" ] || wait "$server" || true
  rm -rf "$merged"
}
trap 'finish; exit 0' TERM INT
# shellcheck disable=SC2046
"$home/bin/tritonserver" --model-repository="$models" --backend-directory="$merged" \
  --cache-directory="$home/caches" --allow-gpu-metrics=false --http-address=127.0.0.1 \
  --grpc-address=127.0.0.1 --metrics-address=127.0.0.1 $(door http "$http") $(door grpc "$grpc") \
  $(door metrics "$metrics") "$@" &
server=$!
status=0
wait "$server" || status=$?
rm -rf "$merged"
exit "$status"
