#!/usr/bin/env bash
# The chart without a cluster: helm lint, renderings of many values, alert rules, and that what is rendered from it is current.
set -euo pipefail
cd "$(dirname "$0")/../.."
tools/setup chart
helm=$(test/chart/build)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp deploy/helm/tepal/files/alerts.yaml test/chart/alerts_test.yaml "$work"
promtool=$PWD/.cache/prometheus/unpacked/usr/bin/promtool
(cd "$work" && "$promtool" check rules alerts.yaml && "$promtool" test rules alerts_test.yaml)
HELM=$helm deploy/manifests/render --check
HELM=$helm exec python3 -m unittest discover -v -s test/chart -p 'test_*.py'
