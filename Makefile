# metagan: `make` alone prints the targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# Some tools (Ray's workers among them) look for `python` on the PATH.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help install install-dev demo test check format lint types test-ray test-bits test-slow test-chaos test-gpu chaos bench clean

help:  ## Print the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "metagan needs Python >= 3.11; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

# A stamp per set of packages: a second run installs nothing.
$(VENV)/.core: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(VENV)/.core $@

install: $(VENV)/.core  ## Create .venv and install metagan into it
install-dev: $(VENV)/.dev  ## The same with what the tests and checks need

demo: install  ## Train on built-in styles with Ray, draw styles never seen from ten letters, write runs/demo/report.html
	$(BIN)/metagan demo

test: install-dev  ## The test suite (CPU), in two processes
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow and not gpu and not chaos"

test-ray: install-dev  ## Only the tests that start Ray
	$(BIN)/python -m pytest -m "ray and not gpu and not chaos"

test-bits: install-dev  ## The tests that compare bits, in one busy process, in random order: ROUNDS=10 FIRST=0
	$(BIN)/python -m tests.bits --rounds $(or $(ROUNDS),10) --first $(or $(FIRST),0)

test-slow: install-dev  ## The slow tests
	$(BIN)/python -m pytest -m slow

test-chaos: install-dev  ## Runs across hosts in network namespaces whose links are cut
	$(BIN)/python -m pytest -m chaos

chaos: install-dev  ## Runs under random faults: SEEDS=20 FIRST=0
	$(BIN)/python -m tests.chaos.campaign --seeds $(or $(SEEDS),20) --first $(or $(FIRST),0)

test-gpu: install-dev  ## The tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu

check: lint types  ## What a change must pass before review, besides the tests

lint: install-dev  ## ruff, the import contracts, spelling and how docstrings open
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python -m tests.repo.docstrings metagan cluster tune tests benchmarks examples

types: install-dev  ## mypy --strict
	$(BIN)/mypy

format: install-dev  ## Rewrite the sources in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: install-dev  ## The benchmarks; each prints ratios measured in one run
	$(BIN)/python -m benchmarks.startup
	$(BIN)/python -m benchmarks.inner_loop --quick
	$(BIN)/python -m benchmarks.scaling
	$(BIN)/python -m benchmarks.algorithms --quick --local --out runs/bench-algorithms

clean:  ## Remove the environment and caches (runs/ stays)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build *.egg-info
