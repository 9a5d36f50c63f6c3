# The words of this project. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
FLOWER := .venv-flower
export DAGSTER_HOME := $(CURDIR)/.headrace/dagster
export DAGSTER_EVENT_BATCH_SIZE := 1000
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true
# A run is many processes: each starts sooner where the compiled modules are kept.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup demo ui test lint types fast slow bench docs evidently nannyml flower lock clean

help: ## list these words
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.base .env ## install what running needs, into .venv

demo: setup ## go once round the whole loop on real flights
	$(BIN)/headrace demo run

ui: setup ## open the Dagster UI on http://127.0.0.1:3000
	$(BIN)/dagster dev -w workspace.yaml -h 127.0.0.1

test: $(VENV)/.dev .env ## install what tests need, then lint, types and all tests
	@bash .ci/system-packages
	$(MAKE) --no-print-directory lint types fast slow

lint: $(VENV)/.dev ## style and floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.dev ## mypy, strict
	$(BIN)/mypy

fast: $(VENV)/.dev ## the tests that are quick
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow" --durations=10 --durations-min=3

slow: $(VENV)/.dev $(FLOWER)/.ready ## the tests that run whole products, kill processes or try hundreds of cases
	$(BIN)/pytest -n 3 --dist worksteal -m slow --durations=30 --durations-min=20

bench: $(VENV)/.dev ## measure against plain scripts and limits, in this run
	for of in benchmarks benchmarks.plan benchmarks.ingest benchmarks.validate benchmarks.join benchmarks.windows benchmarks.spill benchmarks.online benchmarks.train benchmarks.batch benchmarks.drift benchmarks.evaluate benchmarks.explain benchmarks.releases benchmarks.rollouts benchmarks.meter benchmarks.causes benchmarks.backtest benchmarks.steady benchmarks.package benchmarks.serve; do $(BIN)/python -m $$of || exit 1; done

docs: $(VENV)/.dev ## run the code of README and docs
	$(BIN)/pytest platform_tests/test_docs.py

evidently: .venv-evidently/.ready ## install Evidently, which drift is held against, into an environment of its own

nannyml: .venv-nannyml/.ready ## install NannyML, which drift is timed against, into an environment of its own

flower: $(FLOWER)/.ready ## install Flower, for training over sites, into an environment of its own

lock: ## write the lock files anew from setup.cfg
	$(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install -q uv
	.venv-lock/bin/uv pip compile setup.cfg requirements/build.in -c requirements/pins.in --extra demo --extra serve --extra compile --generate-hashes --no-emit-index-url --no-header --no-annotate --no-strip-extras --no-config --python-version 3.11 -o requirements/base.txt
	.venv-lock/bin/uv pip compile setup.cfg requirements/build.in --extra demo --extra serve --extra compile --extra dev -c requirements/pins.in -c requirements/base.txt --generate-hashes --no-emit-index-url --no-header --no-annotate --no-strip-extras --no-config --python-version 3.11 -o requirements/dev.txt
	.venv-lock/bin/uv pip compile requirements/flower.in --generate-hashes --no-emit-index-url --no-header --no-annotate --no-strip-extras --no-config --python-version 3.11 -o requirements/flower.txt

clean: ## remove what was made: data, environments, caches
	rm -rf .headrace landing $(VENV) $(FLOWER) .venv-evidently .venv-nannyml .venv-lock .env .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("Headrace needs Python 3.11 or newer; say where it is: make PYTHON=/path/to/python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: requirements/base.txt setup.cfg | $(BIN)/python
	@echo "Installing what Headrace needs into $(VENV) (a minute or two, once) ..."
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/base.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt setup.cfg | $(VENV)/.base
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

$(FLOWER)/.ready: requirements/flower.txt
	$(PYTHON) -m venv --clear $(FLOWER)
	$(FLOWER)/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements/flower.txt
	@touch $@

.venv-%/.ready: requirements/peer-%.in
	$(PYTHON) -m venv --clear .venv-$*
	.venv-$*/bin/pip install -q --disable-pip-version-check -r $<
	@touch $@

.env: dagster.yaml Makefile
	@mkdir -p $(DAGSTER_HOME) && cp dagster.yaml $(DAGSTER_HOME)/dagster.yaml
	@printf '%s\n' DAGSTER_HOME=$(DAGSTER_HOME) DAGSTER_EVENT_BATCH_SIZE=$(DAGSTER_EVENT_BATCH_SIZE) MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true > .env
