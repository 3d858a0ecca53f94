#!/bin/sh
# The kernels on this machine's GPU, in at most 8 minutes: tests, two processes that share a lattice
# (HMC, and networks), tables, and which targets are missed. Results go into benchmarks/results/gpu_check.json and .md as they come. Status 0: all
# reached; 1: no GPU, or time is up; 2: something falls short. PYTHON chooses the interpreter.
cd "$(dirname "$0")/.." || exit 1
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python3)}
timeout 480 "$PYTHON" -m benchmarks.kernels.gpu_check "$@"
status=$?
if [ $status -eq 124 ]; then
    echo "gpu_check: expected to be through in 480 s, found more to do: see benchmarks/results" >&2
    exit 1
fi
exit $status
