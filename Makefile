# Two commands are enough: `make demo` runs the main job, `make test` passes the tests. Both make their own environment.
# PYTHON picks the interpreter (3.11 or newer).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?=
TESTS ?=
# Most tests wait for something more than they compute, so one worker more than the smallest machine has cores.
JOBS ?= 3

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench golden outages kills truth clean debian

help: ## Say what there is to make
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	@./deploy/environment.sh "$(PYTHON)" "$(VENV)"

# The environment is made anew when the packaging changes. What runs needs no test tools, so the demo starts sooner.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(VENV)/.installed ## Run the bot with a small shop's telemetry and one genuine alert (DEMO=--once ends by itself)
	$(BIN)/topology-bot demo $(DEMO)

debian:
	@./deploy/debian-test-packages.sh

test: $(VENV)/.installed-dev debian ## Install what the tests need and run them (TESTS=path for some)
	$(BIN)/python -m pytest -n $(JOBS) $(TESTS)

check: $(VENV)/.installed-dev ## Lint, format, types, and the one-way house
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev ## Put the code in the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-dev ## Measure speed and memory; print the figures beside their targets
	$(BIN)/python -m tests.benchmarks

golden: $(VENV)/.installed-dev ## Write the messages of named situations anew (tests/slack/golden) and say what changed
	$(BIN)/python -m tests.slack.write_golden

outages: $(VENV)/.installed-dev ## Break made-up companies and see how often the likely cause is the true one (SEED=1)
	$(BIN)/python -m tests.outages --first-seed $(or $(SEED),1)

kills: $(VENV)/.installed-dev ## Kill the bot again and again while incidents come and go (KILLS=200)
	KILLS=$(or $(KILLS),200) $(BIN)/pytest -q tests/integration/test_killed_incidents.py

truth: $(VENV)/.installed-dev ## Hold the map against a made-up company's truth (SEED=1)
	$(BIN)/python -m tests.truth --seed $(or $(SEED),1)

clean: ## Remove the environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build dist
