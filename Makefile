# One word for each thing one does with this repository. Everything is set up in a private .venv; every target is safe
# to repeat. `make PYTHON=python3.12 test` names the Python the .venv is made with.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo sample test check lint types imports format viewer viewer-check bench wheel constraints install clean

PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo
HOST ?= 127.0.0.1
PORT ?= 8000
ARGS ?=
export PIP_DISABLE_PIP_VERSION_CHECK := 1

help: ## list the targets
	@echo 'District twin. Targets (each sets up what it needs, in .venv):'
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | while IFS=$$'\t' read -r name text; do \
		printf '  make %-13s %s\n' "$$name" "$$text"; done
	@echo 'Settings: PYTHON=python3.12 (which Python), PORT=8000 and DEMO=demo (make demo), ARGS="-k ids" (handed to pytest)'

demo: viewer ## build the sample district and serve it with the viewer (http://127.0.0.1:8000/viewer/)
	$(BIN)/twin demo -o $(DEMO) --host $(HOST) --port $(PORT)

sample: install ## build the sample district and stop
	$(BIN)/twin demo -o $(DEMO) --no-serve || [ $$? -eq 3 ]  # 3: built; the sample holds faults on purpose

test: .venv-dev viewer-check ## run every test; ARGS goes to pytest
	@bash tools/system_packages.sh test
	$(BIN)/python -m pytest $(ARGS)

check: lint types imports ## static checks: ruff, mypy --strict, import-linter

lint: .venv-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv-dev
	$(BIN)/mypy --strict

imports: .venv-dev
	$(BIN)/lint-imports --no-logo

format: .venv-dev ## let ruff repair and format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

viewer: install ## build the viewer into server/viewer/dist
	$(BIN)/python tools/build_viewer.py

viewer-check: .venv-dev
	$(BIN)/python tools/build_viewer.py --check

bench: .venv-dev viewer ## measure builds of 100,000 and 1,000,000, the tile path, the first view, updates, features and the registry; ARGS="100000 3": one build
	@bash tools/system_packages.sh bench
ifdef ARGS
	$(BIN)/python benchmarks/build.py $(ARGS)
else
	$(BIN)/python benchmarks/build.py 100000 5
	$(BIN)/python benchmarks/build.py 1000000 1
	$(BIN)/python benchmarks/tile_path.py 5
	$(BIN)/python benchmarks/first_view.py
	$(BIN)/python -m benchmarks.update
	$(BIN)/python -m benchmarks.features
	$(BIN)/python -m benchmarks.registry  # 10,000,000 entities in two databases: half an hour, 15 GB
endif

wheel: viewer .venv-dev ## build the wheel, viewer included, into dist/
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .

install: ## set up .venv with what building and serving need
	@PYTHON='$(PYTHON)' bash tools/setup_venv.sh viewer

# Set-up for development; not a file: the script compares digests and is done at once where nothing has changed.
.PHONY: .venv-dev
.venv-dev:
	@PYTHON='$(PYTHON)' bash tools/setup_venv.sh test,lint,viewer

constraints: .venv-dev ## write the versions of .venv into constraints.txt
	$(BIN)/python tools/write_constraints.py

clean: ## remove everything that can be made again
	rm -rf $(VENV) build dist $(DEMO) *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .cache
	rm -rf server/viewer/dist server/viewer/node_modules tests/js/node_modules
	find twin pipelines server data_samples tests benchmarks tools -name __pycache__ -prune -exec rm -rf {} +
