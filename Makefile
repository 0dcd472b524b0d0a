# Every target sets up what it needs in .venv, and is quick the second time.
#   make train       trains a spatial transformer on the bundled real digits
#   make test        lint, types, doctests and tests
#   make test-peers  the same numbers from PyTorch, ONNX, SciPy, kornia ...; the code in docs/
#   make test-all    everything, the slow tests too
#   make bench       times everything against its peers; runs/benchmarks has what was found

PYTHON ?= python3
RUN := .venv/bin/python
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: train test test-peers test-all bench lint clean

train: .venv/train
	$(RUN) -m train fit configs/quickstart.py --workdir runs/quickstart

test: lint .venv/test
	$(RUN) -m pytest --doctest-modules stn_jax --quiet
	$(RUN) -m pytest -m "not slow" --ignore tests/peers --quiet

test-peers: .venv/peers
	$(RUN) -m pytest -m "not slow" --quiet tests/peers
	$(RUN) -m pytest --quiet tests/test_docs.py

test-all: lint .venv/peers
	$(RUN) -m pytest --doctest-modules stn_jax --quiet
	$(RUN) -m pytest --quiet

bench: .venv/peers
	$(RUN) benchmarks/run.py

lint: .venv/test
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy

clean:
	rm -rf .venv dist .pytest_cache .mypy_cache .ruff_cache

# A stamp says which extras are in; it is older than the files that decide what they are.
.venv/base: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "stn_jax needs Python 3.11 or later; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv --clear .venv
	@touch $@

.venv/train: .venv/base
	@echo "Setting up .venv (a few minutes, once)"
	$(PIP) --editable ".[train]"
	@touch $@

.venv/test: .venv/train
	$(PIP) --editable ".[train,test]"
	@touch $@

.venv/peers: .venv/test
	$(PIP) --editable ".[train,test,peers]"
	@touch $@
