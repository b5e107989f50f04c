# Everything needs Python 3.11 or newer, pip and make; Node, ffmpeg and the rest come from PyPI into .venv.
# `make help` lists what there is. Variables: PYTHON (which interpreter makes .venv), VENV (where).

SHELL := /bin/bash
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin
CODE := chatsync tests benchmarks notebooks hatch_build.py

# uv installs a lock about three times as fast as pip. Where it cannot (a registry that only pip is configured for), pip does.
PIP := $(PYTHON) -m pip --python $(RUN)/python --disable-pip-version-check
install = { $(RUN)/uv pip install --quiet --python $(RUN)/python --require-hashes $(1) \
	|| $(PIP) install --quiet --require-hashes $(1); }
# The project itself, so that `chatsync` is a command; the player is built by its own rule below.
install_project = CHATSYNC_BUILD_PLAYER=0 $(RUN)/uv pip install --quiet --python $(RUN)/python \
	--no-deps --no-build-isolation --offline --editable .

PLAYER_SOURCES := $(shell find player -name node_modules -prune -o -path player/dist -prune -o -type f -print 2>/dev/null)
PLAYER := build/player.stamp
ifeq ($(shell find chatsync/web -name '*.js' 2>/dev/null | head -n 1),)
$(PLAYER): FORCE
endif
# What is installed for development is enough for the demo.
DEMO := $(if $(wildcard $(VENV)/.dev),$(VENV)/.dev,$(VENV)/.demo)

.PHONY: help setup demo check checks spread alone test unit long fuzz faults e2e player-test bench bench-quick bench-servers player notebooks chromium servers lock format clean FORCE

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- set-up -----------------------------------------------------------------------------------------------------------

setup: ## install everything for development into .venv and build the player
	@$(MAKE) -s -j2 $(VENV)/.dev $(PLAYER)

# --without-pip: works where Debian's python3-venv is not installed, and is quicker.
$(VENV)/.made: requirements/installer.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "chatsync needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m pip --version >/dev/null 2>&1 \
		|| { echo "$(PYTHON) has no pip. On Debian: apt-get install python3-pip"; exit 1; }
	@test -x $(RUN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	@$(PIP) install --quiet --require-hashes -r requirements/installer.lock
	@touch $@

$(VENV)/.build: $(VENV)/.made requirements/build.lock
	@echo "set-up: Node and the build tools"
	@$(call install,-r requirements/build.lock)
	@touch $@

$(VENV)/.demo: $(VENV)/.build requirements/demo.lock pyproject.toml
	@echo "set-up: what the demo needs"
	@$(call install,-r requirements/demo.lock)
	@$(install_project)
	@touch $@

$(VENV)/.dev: $(VENV)/.build requirements/dev.lock pyproject.toml
	@echo "set-up: what development needs"
	@$(call install,-r requirements/dev.lock)
	@$(install_project)
	@touch $@

$(VENV)/.bench: $(VENV)/.dev requirements/bench.lock
	@echo "set-up: peers for the benchmarks"
	@{ $(call install,-r requirements/bench.lock) && touch $@; } \
		|| echo "set-up: what requirements/bench.lock names could not be installed; those peers are left out"

$(PLAYER): $(VENV)/.build hatch_build.py $(PLAYER_SOURCES)
	@$(RUN)/python hatch_build.py
	@mkdir -p $(@D) && touch $@

player: $(PLAYER) ## build the player into chatsync/web

chromium: ## install Debian's Chromium for the browser tests, where that is allowed
	@bash tests/e2e/install_chromium.sh

servers: ## install Debian's nginx and what else tests and benchmarks run beside the relay, where that is allowed
	@bash tests/install_servers.sh

# --- run --------------------------------------------------------------------------------------------------------------

demo: ## a live stream, a lecture's chat and a page to watch: prints one URL (ARGS="--seconds 40 --check --json")
	@$(MAKE) -s -j2 $(DEMO) $(PLAYER)
	@exec $(RUN)/chatsync demo $(ARGS)

bench: setup $(VENV)/.bench bench-servers ## measure everything beside peers in 35 minutes, write benchmarks/report.md (ARGS="--only acks,fanout")
	@$(RUN)/python -m benchmarks.run $(ARGS)

bench-quick: setup $(VENV)/.bench bench-servers ## the same in less than five minutes, written to build/
	@mkdir -p build && $(RUN)/python -m benchmarks.run --quick --output build/bench-quick.md $(ARGS)

# What is not there is left out of the report, with the reason.
bench-servers:
	@bash tests/install_servers.sh redis-server libnginx-mod-nchan postgresql

# Files of tests go to one process more than there are cores, since many wait for a stream; what measures runs alone.
SPREAD := -n $(shell expr $$(nproc) + 1) --dist loadfile
# Tests that ARGS names may all be of one sort: pytest's 5 says that the other has none.
OR_NONE = $(if $(ARGS),|| test $$? -eq 5)

# --- check and test ---------------------------------------------------------------------------------------------------

check: setup ## lint, format, types and layers, in Python and TypeScript
	@$(RUN)/ruff check $(CODE)
	@$(RUN)/ruff format --check $(CODE)
	@$(RUN)/mypy
	@$(RUN)/lint-imports
	@$(RUN)/python hatch_build.py check

unit: setup ## the Python tests that need neither a browser nor much time (ARGS="tests/hls -k edge")
	@$(RUN)/pytest -m "not e2e and not faults" $(SPREAD) $(ARGS)

faults: setup ## kills, restarts, full disks
	@$(RUN)/pytest -m "faults and not alone and not e2e" $(SPREAD) $(ARGS) $(OR_NONE)
	@$(RUN)/pytest -m "faults and alone and not e2e" $(ARGS) $(OR_NONE)

# The same tests as `unit` and `faults`, in one go: long ones of the second fill the gaps that short ones of the first leave.
# In the order of tests/conftest.py, the longest first: files with one test would else come last, and one process would work alone.
spread: setup
	@$(RUN)/pytest -m "not alone and not e2e" $(SPREAD) --no-loadscope-reorder --durations=30 $(ARGS) $(OR_NONE)
alone: setup
	@$(RUN)/pytest -m "alone and not e2e" --durations=15 $(ARGS) $(OR_NONE)

long: setup servers ## the long forms of the promises, hours in all; writes build/long/report.md (ARGS="kills cuts")
	@$(RUN)/python -m tests.long $(ARGS)

fuzz: setup ## playlists changed at random for 30 s (FUZZ="--executions 1000000 --seed 7")
	@$(RUN)/python -m tests.fuzz.run $(FUZZ)

player-test: setup ## the player's own tests
	@$(RUN)/python hatch_build.py test

e2e: setup ## the page in Chromium; writes build/sync-report.json
	@$(RUN)/pytest -m e2e --durations=12 $(ARGS)

# What needs one core each runs side by side.
checks:
	@$(MAKE) -j3 --output-sync=target check player-test fuzz

STEPS := setup chromium servers checks spread alone e2e
test: ## set-up, checks and every test; says what was left out
	@rm -f build/left-out.txt; begin=$$SECONDS; \
	for step in $(STEPS); do \
		echo "== $$step"; start=$$SECONDS; $(MAKE) $$step || { echo "== $$step failed after $$((SECONDS - start)) s"; exit 1; }; \
		echo "== $$step took $$((SECONDS - start)) s"; \
	done; \
	if test -s build/left-out.txt; then echo "Left out:"; sort -u build/left-out.txt; else echo "Nothing was left out."; fi; \
	echo "Everything passed in $$((SECONDS - begin)) s."

format: setup ## let ruff format and repair what it can
	@$(RUN)/ruff check --fix $(CODE)
	@$(RUN)/ruff format $(CODE)

notebooks: $(VENV)/.dev ## run the notebooks and write their .ipynb with outputs
	@rm -rf build/notebooks && mkdir -p build/notebooks
	@cd build/notebooks && for notebook in ../../notebooks/*.py; do \
		echo "notebook: $$(basename $$notebook)"; \
		../../$(RUN)/marimo export ipynb $$notebook -o $${notebook%.py}.ipynb --include-outputs --force || exit 1; \
	done; rm -rf ../../notebooks/__marimo__

# --- housekeeping -----------------------------------------------------------------------------------------------------

COMPILE = $(RUN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	--no-emit-index-url --no-emit-package chatsync-hls
lock: $(VENV)/.made ## resolve the dependencies anew (UPGRADE=--upgrade for the newest)
	@$(COMPILE) $(UPGRADE) --extra dev pyproject.toml requirements/build.in -o requirements/dev.lock
	@$(COMPILE) --upgrade -c requirements/dev.lock --extra demo pyproject.toml -o requirements/demo.lock
	@$(COMPILE) --upgrade -c requirements/dev.lock --extra bench pyproject.toml -o requirements/bench.lock
	@$(COMPILE) --upgrade -c requirements/dev.lock pyproject.toml -o requirements/run.lock
	@$(COMPILE) --upgrade -c requirements/dev.lock requirements/build.in -o requirements/build.lock
	@$(COMPILE) $(UPGRADE) requirements/installer.in -o requirements/installer.lock

clean: ## remove everything that was made, .venv too
	rm -rf $(VENV) build dist chatsync/web player/node_modules player/dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
