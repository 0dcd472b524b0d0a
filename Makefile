# Every target sets up what it needs in .venv, and is quick the second time.
#   make train       trains a spatial transformer on the bundled real digits
#   make test        lint, types, doctests and tests
#   make test-peers  the same numbers from PyTorch, ONNX, SciPy, kornia ...; the code in docs/
#   make test-all    everything, the slow tests too
#   make test-lowest, test-newest  the library with the oldest and the newest versions that it admits
#   make mutants     changes lines of the numerics at random: does a quick test notice? (half an hour)
#   make faults      kills, stops and damages a real run at random moments: does it recover? (10 minutes)
#   make docs        builds the site, strictly, in docs/_build/html; make docs-serve shows it
#   make native      builds the compiled CPU kernels again; train and test build them if they can
#   make test-native those kernels under sanitizers, on random calls, and compiled for aarch64
#   make bench       times everything against its peers; runs/benchmarks has what was found

PYTHON ?= python3
RUN := .venv/bin/python
# Python compiles a module when it is first imported; compiling all of them here triples the time.
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt

TEST := $(RUN) -m pytest --quiet --numprocesses auto --maxprocesses 8 --dist worksteal
# Most of a test's time is XLA's, and half of that its optimising, which changes no program of ours:
# doctests and the quick suite go without. Peers and test-all compile as users do.
# The flags are those that the installed XLA knows: it ends the process at any other.
PLAINLY := XLA_FLAGS="$$(cat .venv/xla_flags) $$XLA_FLAGS"

# libtpu looks for a TPU and says at length that there is none.
export TPU_STDERR_LOG_LEVEL ?= 3
export TPU_MIN_LOG_LEVEL ?= 3
# Packages that are compiled anew in each process take 10 seconds to import, compiled once 3.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: train test test-native test-peers test-all test-lowest test-newest mutants faults native bench docs docs-serve lint clean

train: .venv/native
	$(RUN) -m train fit configs/quickstart.py --workdir runs/quickstart

test: lint .venv/test .venv/native .venv/xla_flags
	$(PLAINLY) $(TEST) --doctest-modules stn_jax
	$(PLAINLY) $(TEST) -m "not slow" --ignore tests/peers

test-peers: .venv/peers
	$(TEST) -m "not slow" tests/peers tests/examples
	$(TEST) tests/test_docs.py

test-native: .venv/test .venv/native
	$(TEST) tests/native tests/sampling/platforms/test_native.py

test-all: lint .venv/tpu .venv/docs .venv/package .venv/native
	$(TEST) --doctest-modules stn_jax
	$(TEST)
	$(MAKE) test-lowest test-newest

test-lowest test-newest:
	$(PYTHON) tests/ends.py $(@:test-%=%)

MUTANTS ?= 60
SEED ?= 0

mutants: .venv/mutants
	$(RUN) tests/mutants/run.py --count $(MUTANTS) --seed $(SEED)

FAULTS ?= 30

faults: .venv/test
	$(RUN) tests/train/faults.py --count $(FAULTS) --seed $(SEED)

native:
	rm -f .venv/native
	$(MAKE) .venv/native

bench: .venv/peers .venv/native
	$(RUN) benchmarks/run.py

docs: .venv/docs
	$(RUN) -m sphinx -W -n -E --keep-going -q -b html -d docs/_build/doctrees docs docs/_build/html

PORT ?= 8000

docs-serve: docs
	$(RUN) -m http.server $(PORT) --bind 127.0.0.1 --directory docs/_build/html

lint: .venv/test
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy

clean:
	rm -rf .venv .venv-* dist docs/_build docs/generated .pytest_cache .mypy_cache .ruff_cache

# A stamp says which extras are in; it is older than the files that decide what they are.
.venv/base: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "stn_jax needs Python 3.11 or later; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv --clear .venv
	@touch $@

.venv/train: .venv/base
	@echo "Setting up .venv (a few minutes, once)"
	$(PIP) --editable ".[train]"
	@touch $@

# The compiled CPU kernels, where there is a C++ compiler. All works without them, only slower.
KERNELS := $(wildcard native/*.* native/src/* native/stn_jax_cpu/*.py) stn_jax/coordinates.py \
    $(addprefix stn_jax/sampling/,interpolation.py kernels.py padding.py)

.venv/native: .venv/train $(KERNELS)
	@if ! command -v $${CXX:-c++} > /dev/null; then \
	  echo "No C++ compiler, so no compiled CPU kernels: stn_jax will sample by XLA, about half as fast"; \
	else \
	  echo "Compiling the CPU kernels (a minute)"; \
	  $(PIP) scikit-build-core cmake ninja && \
	  $(PIP) --no-build-isolation --no-deps --force-reinstall ./native || \
	  echo "The CPU kernels did not compile: stn_jax will sample by XLA, about half as fast"; \
	fi
	@touch $@

.venv/test: .venv/train
	$(PIP) --editable ".[train,test]"
	@touch $@

.venv/xla_flags: .venv/test tests/xla_flags.py
	$(RUN) tests/xla_flags.py > $@

.venv/peers: .venv/test
	$(PIP) --editable ".[train,test,peers]"
	@touch $@

.venv/tpu: .venv/peers
	$(PIP) --editable ".[train,test,peers,tpu]"
	@touch $@

.venv/docs: .venv/test
	$(PIP) --editable ".[train,test,docs]"
	@touch $@

.venv/package: .venv/test
	$(PIP) --editable ".[train,test,package]"
	@touch $@

.venv/mutants: .venv/test
	$(PIP) --editable ".[train,test,mutants]"
	@touch $@
