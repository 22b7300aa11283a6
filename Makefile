# `make help` lists what there is. Every target does its own set-up: the first run creates
# .venv and installs what constraints.txt pins, later runs start at once.

PORT ?= 8000
PYTHON ?=
OVERRIDE ?=
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help serve test compose-test check format clean
.DELETE_ON_ERROR:

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  PORT=8000     port of make serve"
	@echo "  PYTHON=...    the Python to build $(VENV) with, 3.11 or newer"
	@echo "  JOBS=2        processes of make test at a time"
	@echo "  OVERRIDE=...  compose files that compose-test reads after docker-compose.yml"

serve: $(VENV)/.installed ## the web service, on port PORT
	$(BIN)/sian serve --port $(PORT)

test: $(VENV)/.browser ## the whole test suite
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile

compose-test: $(VENV)/.installed-dev ## docker-compose.yml on a real engine; needs Docker
	$(BIN)/python -m tests.compose.run $(addprefix --file ,$(OVERRIDE))

check: $(VENV)/.installed-dev ## formatting, lint, types and import directions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_imports.py

format: $(VENV)/.installed-dev ## rewrite the code in the form that check expects
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove .venv and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[engine]'
	@touch $@

$(VENV)/.installed-dev: $(BIN)/python pyproject.toml constraints.txt
	$(PIP_INSTALL) --editable '.[engine,s3,training,dev]'
	@touch $@ $(VENV)/.installed

# A Chromium of the system's is used where there is one; else Playwright downloads its own.
$(VENV)/.browser: $(VENV)/.installed-dev tests/browser/chromium.py
	$(BIN)/python -m tests.browser.chromium
	@touch $@

# Order-only, so that a newer system Python alone does not rebuild anything.
$(BIN)/python: | Makefile
	@found=; \
	for python in $(if $(PYTHON),'$(PYTHON)',python3.11 python3.12 python3.13 python3.14 python3); do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    found="$$python"; \
	    "$$python" -c 'import ensurepip, venv' 2>/dev/null || continue; \
	    echo "Creating $(VENV) with $$("$$python" --version)"; \
	    exec "$$python" -m venv --clear $(VENV); \
	done; \
	if [ -n "$$found" ]; then \
	    echo "$$found cannot create virtual environments. On Debian or Ubuntu: apt install python3-venv" >&2; \
	else \
	    echo "SIAN needs Python 3.11 or newer$(if $(PYTHON),; $(PYTHON) is not). Install it or name one: make PYTHON=/path/to/python" >&2; \
	fi; \
	exit 1
