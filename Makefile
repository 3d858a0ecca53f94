# Two commands do everything, set-up included: `make demo` and `make test`.

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q
SOURCES := pyproject.toml setup.py constraints.txt $(wildcard l2hmc_bridge/fast/cpu/kernels/*)
WORKERS ?= auto
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8
# Files that are made by the hundred thousand stay in memory.
MEMORY := $(or $(wildcard /dev/shm),/tmp)

.PHONY: demo test quick lint docs dist coverage bench fuzz kills two-flavour clean

# The package and what `constraints.txt` says was tested; remade when a declaration changes.
$(VENV)/.installed: $(SOURCES)
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -c constraints.txt -e .
	touch $@

# For tests the kernels of every instruction set are built: they are compared with each other.
$(VENV)/.tested: $(SOURCES)
	$(PYTHON) -m venv $(VENV)
	L2HMC_BRIDGE_KERNELS=all $(PIP) install -c constraints.txt -e '.[test]'
	touch $(VENV)/.installed $@

demo: $(VENV)/.installed  ## The main job on a configuration written by MILC
	rm -rf demo-stream
	$(BIN)/l2hmc-bridge info examples/data/milc_l4x6x8x10_b6.0.ildg
	$(BIN)/l2hmc-bridge sample --in examples/data/milc_l4x6x8x10_b6.0.ildg --beta 6.0 \
		--out demo-stream -n 20 --seed 1

test: lint docs  ## The whole suite, as CI runs it
	$(PYTEST)

quick: $(VENV)/.tested  ## What a change usually needs, in under 90 seconds
	$(PYTEST) -m "not slow"

# Types are checked on the package as an install lays it, adapters/ and cli/ inside.
lint: $(VENV)/.tested  ## Style and types
	$(BIN)/ruff check .
	mkdir -p build/types/l2hmc_bridge
	ln -sfn $(CURDIR)/l2hmc_bridge/* $(CURDIR)/adapters $(CURDIR)/cli build/types/l2hmc_bridge/
	cd build/types && $(abspath $(BIN))/mypy --config-file ../../pyproject.toml -p l2hmc_bridge

# MkDocs' theme would print an advertisement of its successor.
docs: $(VENV)/.tested  ## The site, in build/site; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build -q

dist: $(VENV)/.tested  ## dist/: sdist and wheel, each installed and tried where there is no compiler
	rm -rf dist build/dist
	$(BIN)/python -m build -q --outdir build/dist
	PATH=$(abspath $(BIN)):$$PATH $(BIN)/python -m auditwheel repair -w dist build/dist/*.whl
	mv build/dist/*.tar.gz dist/
	$(BIN)/python tests/release/check.py dist

coverage: $(VENV)/.tested  ## The suite with the share of lines it runs, room by room
	$(PYTEST) --cov=l2hmc_bridge --cov=adapters --cov=cli --cov-report=term --cov-report=html

bench: $(VENV)/.installed  ## Times of kernels, trajectories and training; see benchmarks/README.md
	$(BIN)/python -m benchmarks.kernels.run
	$(BIN)/python -m benchmarks.kernels.gpu

fuzz: $(VENV)/.tested  ## Damaged and forged files to every reader; ten minutes of atheris if it is installed
	TMPDIR=$(MEMORY) $(BIN)/python tests/fuzz/formats.py --count 100000 --hdf5 10000 --seconds 600
	TMPDIR=$(MEMORY) $(BIN)/python tests/fuzz/own.py --count 100000

kills: $(VENV)/.tested  ## 60 streams killed at random moments and resumed: the same files
	TMPDIR=$(MEMORY) $(BIN)/python tests/fuzz/kills.py --streams 60

two-flavour: $(VENV)/.tested  ## Streams with quarks against tmLQCD and exact determinants; three hours
	$(BIN)/python -m benchmarks.sampler.quarks

clean:
	rm -rf $(VENV) build demo-stream htmlcov *.egg-info
