# Every target sets up what it needs in .venv; `make help` lists them.
PYTHON ?= python3
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
C_SOURCES := instrumentation/spanwise/causality/_steps.c

.DEFAULT_GOAL := help
.PHONY: help demo test lint fmt hooks unit every-python soak figures stack-up stack-down servers lock release clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.runtime ## Run the equity research desk before and after its optimisation (no server needed)
	@$(BIN)/python -m spanwise_cli.demo

test: $(VENV)/.dev servers lint ## Run all checks and all tests, show the coverage, and try the built wheel
	$(BIN)/python -m pytest tests/unit -m "not slow" -n $(JOBS) --cov --cov-report=
	$(BIN)/coverage report
	$(BIN)/python -m pytest tests -m "slow and not alone" -n $(JOBS) --dist loadfile
	$(BIN)/python -m pytest tests -m alone
	$(BIN)/python tests/smoke_wheel.py

# The same commands stand in .pre-commit-config.yaml; a test compares the two.
CHECKS := check-ruff check-format check-mypy check-pyright check-imports
check-ruff    : COMMAND = ruff check .
check-format  : COMMAND = ruff format --check .
check-mypy    : COMMAND = mypy
check-pyright : COMMAND = pyright
check-imports : COMMAND = lint-imports

lint: $(VENV)/.dev ## Run ruff, mypy, pyright and import-linter side by side
	@$(MAKE) --no-print-directory --jobs=$(JOBS) --keep-going --output-sync=target $(CHECKS)

check-%:
	$(BIN)/$(COMMAND)

fmt: $(VENV)/.dev ## Format the code and apply the fixes that ruff knows to be safe
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

hooks: $(VENV)/.dev ## Have git run the checks before each commit and push
	$(BIN)/pre-commit install --hook-type pre-commit --hook-type commit-msg --hook-type pre-push

unit: $(VENV)/.dev ## Run only the fast tests (no process, no server)
	$(BIN)/python -m pytest tests/unit -m "not slow" -n $(JOBS)

every-python: $(VENV)/.dev ## Run the fast tests on every Python from 3.11 on that this machine has
	$(BIN)/python tests/every_python.py

soak: $(VENV)/.dev servers ## Run the long forms of the journal's tests and print their figures (about an hour)
	$(BIN)/python -m pytest tests/soak -rP -p no:randomly -o faulthandler_timeout=3600

figures: $(VENV)/.dev servers ## Measure and draw what README and docs print (an hour on a quiet machine)
	$(BIN)/python benchmarks/figures.py

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

release: $(VENV)/.dev ## Build and check the sdist, the wheel and the release notes in dist/
	$(BIN)/python tests/release.py

clean: ## Remove the environment and every cache in this folder
	rm -rf $(VENV) dist .coverage* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis \
	  $(C_SOURCES:.c=.*.so)

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
