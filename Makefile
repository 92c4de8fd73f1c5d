# Everything starts with one of: make quickstart | make test | make check | make bench
# Each sets up .venv by itself; repeating is safe and fast.

PYTHON ?= python3
# The CPU build of torch lives here; PyPI's own needs gigabytes of CUDA.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
# One process a core, each with one thread: small networks gain nothing from more.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --maxprocesses 4
STAMP := $(VENV)/.installed
# What an installation depends on; where it lies, because scripts in a venv hold its path.
STATE := $(CURDIR) $(shell cat pyproject.toml constraints.txt | cksum)

.PHONY: quickstart test check bench setup clean

quickstart: setup
	$(BIN)/hwsearch quickstart --out quickstart

test: setup
	$(PYTEST)

check: setup
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/typos
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(PYTEST)

bench: setup
	$(BIN)/python tests/benchmarks/latency.py
	$(BIN)/python tests/benchmarks/quickstart.py
	$(BIN)/python tests/benchmarks/kills.py

# A stamp of another state, or a venv that cannot run its own command, is built anew.
setup:
	@if [ "$$(cat $(STAMP) 2>/dev/null)" != "$(STATE)" ] \
	  || ! $(BIN)/hwsearch --version >/dev/null 2>&1 \
	  || ! $(PIP) check >/dev/null 2>&1; \
	then $(MAKE) --no-print-directory install; fi

.PHONY: install
install:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "hwsearch needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 2; }
	@echo "Installing into $(VENV), once: about two minutes and 2 GB."
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --retries 0 --extra-index-url $(TORCH_INDEX) -c constraints.txt torch
	@$(PIP) install -c constraints.txt --editable '.[detection,html,openvino,ray,tensorboard,timm,dev]'
	@echo "$(STATE)" > $(STAMP)
	@echo "Installed."

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
