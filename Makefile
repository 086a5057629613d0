# Every target sets up what it needs in .venv; `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
C_SOURCES := instrumentation/spanwise/causality/_steps.c

.DEFAULT_GOAL := help
.PHONY: help demo test lint unit soak stack-up stack-down servers lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime ## Run the equity research desk before and after its optimisation (no server needed)
	@$(BIN)/python -m spanwise_cli.demo

test: $(VENV)/.dev servers lint ## Lint, type-check and run every test, then the built wheel's smoke test
	$(BIN)/python -m pytest
	$(BIN)/python tests/smoke_wheel.py

lint: $(VENV)/.dev ## ruff, mypy strict, pyright strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

unit: $(VENV)/.dev ## Only the fast tests (under a minute, no servers)
	$(BIN)/python -m pytest tests/unit -m "not slow"

soak: $(VENV)/.dev servers ## The long forms of the journal's tests, with their figures (about an hour)
	$(BIN)/python -m pytest tests/soak -rP -p no:randomly -o faulthandler_timeout=3600

servers: $(VENV)/.dev ## Find or build the real servers into the per-user cache
	@$(BIN)/python -m spanwise_cli.stack.install

stack-up: $(VENV)/.runtime ## Start collector, Jaeger, Prometheus and Alertmanager on this machine
	@$(BIN)/spanwise stack up

stack-down: $(VENV)/.runtime ## Stop them
	@$(BIN)/spanwise stack down

lock: $(VENV)/.dev ## Make requirements/*.txt anew from pyproject.toml
	$(PIP) install uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --group build $(LOCK) -o requirements/runtime.txt
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev $(LOCK) -o requirements/dev.txt
	echo "openai==2.54.0" | $(BIN)/uv pip compile $(LOCK) -o requirements/openai2.txt -
LOCK := --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

clean: ## Remove the environment and every cache in this folder
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis $(C_SOURCES:.c=.*.so)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else \
	  "spanwise needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements/runtime.txt pyproject.toml hatch_build.py $(C_SOURCES) | $(BIN)/python
	@echo "Setting up .venv (once) ..."
	$(PIP) install --require-hashes -r requirements/runtime.txt
	$(PIP) install --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt requirements/openai2.txt $(VENV)/.runtime
	$(PIP) install --require-hashes -r requirements/dev.txt
	$(PIP) install --upgrade --require-hashes --target $(VENV)/openai2 -r requirements/openai2.txt
	@touch $@
