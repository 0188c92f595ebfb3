#!/usr/bin/env bash
# make test-peers: what needs programs too big for `make test`. Each part says what it is and what it cost.
#
#   test/peers/run.sh            every part
#   test/peers/run.sh PART...    template, perf-analyzer, python-backend, debian-torch
set -euo pipefail
cd "$(dirname "$0")/../.."
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(template perf-analyzer python-backend debian-torch)
[ -n "${TEPAL_BUILT:-}" ] || tools/build all
python=.cache/venv/bin/python

# The backend that docs/backends.md starts from, in a real Triton.
part_template() { $python -m unittest discover -v -s test/peers -p 'test_*.py'; }

# Triton's load generator, unary, streaming and with shared memory, against our server and a real Triton.
part_perf-analyzer() { $python test/peers/perf_analyzer.py; }

# Triton's own python backend, as it is, in our server.
part_python-backend() {
  test/peers/python_backend.sh --tepal build/release/bin/tepal --unpacked .cache/triton/unpacked
}

# The pytorch plugin against LibTorch 1.13: its tests, and the flowers. Slow kernels, the same answers.
part_debian-torch() {
  local build=build/debian-torch
  mkdir -p $build
  cmake -S backends/pytorch -B $build -G Ninja -DCMAKE_BUILD_TYPE=Release -DTEPAL_TORCH_DIR=/usr -DTEPAL_TESTS=ON \
    -DCMAKE_CXX_COMPILER_LAUNCHER=ccache >$build.log 2>&1 || { cat $build.log >&2; return 1; }
  ninja -C $build backends
  # Programs look for plugins beside themselves.
  cp -f build/release/bin/{tepal,tepal_backends_test} $build/bin/
  ln -sfn "$PWD/build/release/lib/tepal/backends/onnxruntime" $build/lib/tepal/backends/onnxruntime
  $build/bin/tepal_backends_test --gtest_filter='PyTorch*'
  (cd test/clients && TEPAL_BUILD="$OLDPWD/$build" "$OLDPWD/$python" -m unittest -v test_torchscript)
}

for part in "${parts[@]}"; do
  printf '\n== %s\n' "$part"
  started=$(date +%s)
  "part_$part" || { printf '== %s FAILED after %d s\n' "$part" $(($(date +%s) - started)); exit 1; }
  printf '== %s passed in %d s\n' "$part" $(($(date +%s) - started))
done
printf '\npeers: %d passed, 0 failed\n' ${#parts[@]}
