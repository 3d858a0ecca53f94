# Two commands do everything, set-up included: `make demo` and `make test`.

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.PHONY: demo test lint bench fuzz clean

# The package and what `constraints.txt` says was tested; remade when a declaration changes.
$(VENV)/.installed: pyproject.toml setup.py constraints.txt $(wildcard l2hmc_bridge/fast/kernels/*)
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt -e .
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[test]'
	touch $@

demo: $(VENV)/.installed  ## The main job on a configuration written by MILC
	rm -rf demo-stream
	$(BIN)/l2hmc-bridge info examples/data/milc_l4x6x8x10_b6.0.ildg
	$(BIN)/l2hmc-bridge sample --in examples/data/milc_l4x6x8x10_b6.0.ildg --beta 6.0 \
		--out demo-stream -n 20 --seed 1

test: $(VENV)/.tested  ## The whole suite, as CI runs it
	$(BIN)/ruff check .
	$(BIN)/python -m pytest

lint: $(VENV)/.tested
	$(BIN)/ruff check .

bench: $(VENV)/.installed  ## Times of kernels, trajectories and training; see benchmarks/README.md
	$(BIN)/python benchmarks/bench_kernels.py
	$(BIN)/python benchmarks/bench_gpu.py

fuzz: $(VENV)/.tested  ## Damaged files to every reader; ten minutes of atheris where it is there
	$(BIN)/python tests/fuzz_formats.py --count 100000 --hdf5 10000 --seconds 600

clean:
	rm -rf $(VENV) build demo-stream *.egg-info
