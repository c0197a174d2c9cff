# `make` lists what there is to do. All that a target needs it sets up itself, in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A second session of make finds the environment as the first one left it.
BASE := $(VENV)/.base
TEST := $(VENV)/.test

.DEFAULT_GOAL := help
.PHONY: help demo test test-all test-beam lint format docs bench fuzz clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "dsbuild needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(BASE): setup.cfg pyproject.toml | $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(TEST): $(BASE)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

demo: $(BASE) ## Draw a small VOC tree, build it into TFRecords, check and inspect them
	@rm -rf demo
	$(BIN)/python -m tests.fakes demo
	$(BIN)/dsbuild voc demo demo/tfrecord --shards 4
	$(BIN)/dsbuild validate demo/tfrecord
	$(BIN)/dsbuild inspect demo/tfrecord

test: $(TEST) ## Run the tests (but for the slow ones)
	$(BIN)/python -m pytest -m "not slow"

test-all: $(TEST) ## Run all tests
	$(BIN)/python -m pytest

# Not among what all tests need: Beam holds protobuf, Pillow and pyarrow at older versions.
test-beam: $(TEST) ## Install Apache Beam, run the tests of its pipelines
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dataflow]'
	$(BIN)/python -m pytest tests/test_pipelines_*.py tests/test_portable.py tests/test_dataflow.py

lint: $(TEST) ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(TEST) ## Mend style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(TEST) ## Write docs/cli.md anew from --help
	$(BIN)/python -m tests.test_docs

bench: $(TEST) ## Measure speed and memory; bench/README.md holds the last table
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python bench/build.py
	$(BIN)/python bench/validate.py
	$(BIN)/python bench/layouts.py
	$(BIN)/python bench/storage.py

fuzz: $(TEST) ## Fuzz validation for a minute, guided by coverage
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@mkdir -p build/fuzz
	$(BIN)/python tests/fuzz/fuzz_validate.py build/fuzz -max_total_time=60

clean: ## Remove the environment and all that was made
	rm -rf $(VENV) build dist demo *.egg-info
