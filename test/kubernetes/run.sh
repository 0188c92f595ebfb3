#!/usr/bin/env bash
# Tests on a real Kubernetes with two nodes, in network namespaces of this machine: root and control groups are needed.
#
#   test/kubernetes/run.sh [MODULE...]      test_cluster, test_client, test_helm_chart, ...; all of them when none is named
set -euo pipefail
cd "$(dirname "$0")/../.."
tools/setup test  # Photos, ONNX Runtime, tritonclient.
tools/setup kubernetes
if [ "$(id -u)" != 0 ]; then echo "kubernetes: needs root, for network namespaces and containers" >&2; exit 1; fi
test/kubernetes/build >/dev/null
test/chart/build >/dev/null
[ -f build/release/build.ninja ] || cmake --preset release >/dev/null
ninja -C build/release --quiet kubernetes
exec python3 test/kubernetes/run.py "$@"
