#!/usr/bin/env bash
# Clients that nobody here wrote against the server and the balancer: tritonclient from its wheel, curl, grpcurl,
# a Go program, a browser; and the photos against ONNX Runtime in Python.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools/setup test
[ -n "${TEPAL_BUILT:-}" ] || tools/build all
exec .cache/venv/bin/python -m unittest discover -v -s test/clients -p 'test_*.py'
