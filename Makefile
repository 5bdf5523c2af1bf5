# One word a task. Each makes what it needs: a virtual environment in .venv with the locked dependencies.
# Needed from the machine: Python 3.11 or newer (with venv), make, and access to a package index.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV ?= .venv
BIN := $(VENV)/bin
ONCE ?=
ALL ?=
DATA_DIR ?=
ARGS ?=
# How many tests at once: two more than there are processors, since many wait for a service or for a time.
JOBS ?= $(shell n=$$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN); echo $$((n + 2)))

# Both packages are used as they are here: nothing is installed after a change.
export PYTHONPATH := $(CURDIR)/src:$(CURDIR)/clients/python/src
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONUNBUFFERED := 1
# The tests start hundreds of processes: each would compile the source anew.
unexport PYTHONDONTWRITEBYTECODE

# The first interpreter that runs (a shim may not), is new enough, and can make virtual environments.
FITS := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 15))
ifeq ($(origin PYTHON),undefined)
PYTHON := $(shell for python in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	if "$$python" -c '$(FITS)' >/dev/null 2>&1; then echo "$$python"; break; fi; done)
endif

INSTALL := $(BIN)/python -m pip install --quiet --require-hashes --only-binary :all:

.PHONY: help demo serve test proofs check e2e chaos bench bench-check screenshots notebook openapi rules dashboards k8s image lock clean

help: ## list the tasks
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 18

demo: $(VENV)/.runtime ## the service with data in it: see a drift being found (ONCE=1: report and exit; DATA_DIR=folder)
	$(BIN)/python -m modelwatch demo $(if $(filter-out 0 false no,$(ONCE)),--once) $(if $(DATA_DIR),--data-dir "$(DATA_DIR)") $(ARGS)

serve: $(VENV)/.runtime ## the service, with the settings of the environment, .env and modelwatch.yaml
	$(BIN)/python -m modelwatch serve $(ARGS)

test: $(VENV)/.dev ## all tests (ARGS="-k drift": some of them)
	$(BIN)/python -m pytest clients/python/tests tests -q -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

e2e: $(VENV)/.dev ## two services, Prometheus and Alertmanager: alerts and dashboards end to end
	$(BIN)/python -m pytest tests/e2e -q $(ARGS)

proofs: $(VENV)/.dev ## run the long proofs of what has changed, and record their figures (ALL=1: run all and compare)
	MODELWATCH_PROOFS=$(if $(filter-out 0 false no,$(ALL)),all,renew) $(BIN)/python -m pytest tests -q -m proof -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.dev ## format, lint, types, layers, docstring examples
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy --strict src
	$(BIN)/mypy --config-file clients/python/pyproject.toml clients/python/src
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --doctest-modules src/modelwatch clients/python/src --ignore-glob '*/migrations/*' -q -p no:cacheprovider

chaos: $(VENV)/.dev ## kill, pause and cut off services and their store under load (ARGS="--seconds 600 --engine sqlite")
	$(BIN)/python -m tests.chaos $(ARGS)

bench: $(VENV)/.dev ## the benchmarks
	$(BIN)/python -m benchmarks $(ARGS)

bench-check: $(VENV)/.dev ## fail when a ratio is a fifth below what benchmarks/report.md records (ARGS=ingest)
	$(BIN)/python -m benchmarks --check $(ARGS)

screenshots: $(VENV)/.dev ## renew the pictures of the pages in docs/images from the demo (needs Chromium)
	PYTHONPATH=$(PYTHONPATH):. $(BIN)/python scripts/screenshots.py

notebook: $(VENV)/.dev ## run examples/quickstart.ipynb and keep its outputs
	PYTHONPATH=$(PYTHONPATH):. $(BIN)/python scripts/notebook.py

openapi: $(VENV)/.dev ## renew docs/openapi.json from the code
	$(BIN)/python scripts/openapi.py

rules: $(VENV)/.dev ## renew the PrometheusRule and the page of runbooks from rules/ and docs/runbooks.md
	$(BIN)/python scripts/prometheus_rule.py
	$(BIN)/python scripts/runbooks.py

dashboards: $(VENV)/.dev ## renew dashboards/*.json from scripts/dashboards
	$(BIN)/python -m scripts.dashboards

k8s: $(VENV)/.dev ## renew k8s/deployment.yaml, and the chart's copies of rules and dashboards and its list of settings
	$(BIN)/python -m scripts.manifests

image: $(VENV)/.dev ## build the image with buildah (as root, on Debian) and look inside: some minutes
	MODELWATCH_IMAGE=1 $(BIN)/python -m pytest tests/deploy/test_image.py -q -p no:cacheprovider $(ARGS)

lock: $(VENV)/.dev ## renew requirements*.txt from pyproject.toml (ARGS=--upgrade: to the newest versions)
	$(COMPILE) pyproject.toml --extra server -o requirements.txt
	$(COMPILE) pyproject.toml --extra server --extra dev -c requirements.txt -o requirements-dev.txt
	$(COMPILE) --group build -o requirements-build.txt

# One version of each package for every supported Python, and no address of an index in the files.
COMPILE = $(BIN)/uv pip compile $(ARGS) --generate-hashes --universal --python-version 3.11 \
	--fork-strategy fewest --no-emit-package modelwatch-client --no-strip-extras --no-emit-index-url --no-emit-find-links \
	--custom-compile-command 'make lock' --quiet

clean: ## remove what the tasks made
	rm -rf $(VENV) .coverage htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist

# The stamps stand for "installed from this lock". The development lock holds the whole runtime lock.
$(VENV)/.runtime: requirements.txt | $(BIN)/python
	$(INSTALL) -r requirements.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt requirements.txt | $(BIN)/python
	$(INSTALL) -r requirements-dev.txt
	@touch $(VENV)/.runtime $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "No Python 3.11 to 3.14 with venv was found (on Debian and Ubuntu: apt-get install" \
		"python3-venv). Name one with: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c '$(FITS)' || { echo "$(PYTHON) can't be used: Python 3.11 to 3.14 with venv is needed" >&2; exit 1; }
	"$(PYTHON)" -m venv "$(VENV)"
