#!/usr/bin/env bash
# Tests on a real Kubernetes with two nodes, in network namespaces of this machine: root and control groups are needed.
#
#   test/kubernetes/run.sh [MODULE...]      test_cluster, test_client, test_helm_chart, ...; all of them when none is named
#   test/kubernetes/run.sh --ci             what `make test` has time for; left out, and said so, where it cannot run
set -euo pipefail
cd "$(dirname "$0")/../.."

lacks() {
  if [ "$(id -u)" != 0 ]; then echo "root, for network namespaces and containers"; return; fi
  unshare --net --mount --pid --fork true 2>/dev/null || { echo "network, mount and process namespaces (unshare is refused)"; return; }
  local group=/sys/fs/cgroup/memory/tepal-kube-check-$$
  { mkdir "$group" && rmdir "$group"; } 2>/dev/null || echo "control groups of version 1 that can be made (/sys/fs/cgroup/memory)"
}

missing=$(lacks)
if [ -n "$missing" ]; then
  echo "kubernetes: needs $missing" >&2
  if [ "${1:-}" = --ci ]; then echo "kubernetes: SKIPPED, no test was run" >&2; exit 0; fi
  exit 1
fi
tools/setup test  # Photos, ONNX Runtime, tritonclient.
tools/setup kubernetes
test/kubernetes/build >/dev/null
test/chart/build >/dev/null
case " ${*:-test_stock_pieces} " in *" test_stock_pieces"*)
  for piece in prometheus prometheus-adapter prometheus-operator nginx; do test/kubernetes/stock/build "$piece" >/dev/null; done ;;
esac
[ -f build/release/build.ninja ] || cmake --preset release >/dev/null
ninja -C build/release --quiet kubernetes
exec python3 test/kubernetes/run.py "$@"
