# `make` lists what there is to do. All that a target needs it sets up itself, in .venv; what
# needs Apache Beam in .venv-beam, for Beam holds protobuf, Pillow and pyarrow at older versions.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A second session of make finds the environment as the first one left it.
BASE := $(VENV)/.base
TEST := $(VENV)/.test
BEAM := .venv-beam
TEST_BEAM := $(BEAM)/.test
# Many tests wait for processes and stores, so there is work for one process more than cores.
TESTERS ?= $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)
TESTS_BEAM := tests/pipelines tests/engines/test_dask.py
# What somebody who adds a layout or an extra needs; without TensorFlow, torch and Beam.
TESTS_QUICK := tests/format tests/layouts tests/images tests/extras tests/house \
  $(addprefix tests/build/test_,audit.py bad_input.py encode.py palettes.py signatures.py)

.DEFAULT_GOAL := help
.PHONY: help demo test test-quick test-beam test-all lint format docs bench bench-engines bench-train fuzz stress clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 15

$(VENV) $(BEAM):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "dsbuild needs Python 3.11 or newer: make PYTHON=python3.12 ..."; exit 1; }
	$(PYTHON) -m venv $@ || { rm -rf $@; exit 1; }

$(BASE): setup.cfg pyproject.toml | $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(TEST): $(BASE)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

$(TEST_BEAM): setup.cfg pyproject.toml | $(BEAM)
	$(BEAM)/bin/pip install --quiet --disable-pip-version-check --editable '.[test-beam]'
	@touch $@

demo: $(BASE) ## Draw a small VOC tree, build it into TFRecords, check and inspect them
	@rm -rf demo
	$(BIN)/python -m tests.support.fakes demo
	$(BIN)/dsbuild voc demo demo/tfrecord --shards 4
	$(BIN)/dsbuild validate demo/tfrecord
	$(BIN)/dsbuild inspect demo/tfrecord

test: $(TEST) ## Run the tests (but for the slow ones)
	$(BIN)/python -m pytest -n $(TESTERS) -m "not slow"

test-quick: $(TEST) ## Run the light tests, for a new layout or extra: a minute, without TensorFlow
	$(BIN)/python -m pytest -n $(TESTERS) -p tests.support.light $(TESTS_QUICK)

test-beam: $(TEST_BEAM) ## Run the tests of the pipelines, with Apache Beam (but for the slow ones)
	$(BEAM)/bin/python -m pytest -n $(TESTERS) -m "not slow" $(TESTS_BEAM)

test-all: $(TEST) $(TEST_BEAM) ## Run all tests
	$(BIN)/python -m pytest -o faulthandler_timeout=3600
	$(BEAM)/bin/python -m pytest -o faulthandler_timeout=3600 $(TESTS_BEAM)

lint: $(TEST) ## Check style and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(TEST) ## Mend style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(TEST) ## Write docs/cli.md anew from --help
	$(BIN)/python -m tests.house.test_docs

bench: $(TEST) ## Measure speed and memory; bench/README.md holds the last table
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python bench/build.py
	$(BIN)/python bench/validate.py
	$(BIN)/python bench/layouts.py
	$(BIN)/python bench/read.py
	$(BIN)/python bench/storage.py
	$(BIN)/python bench/scale.py

bench-engines: $(TEST_BEAM) ## Measure Beam and Dask beside builds without them
	$(BEAM)/bin/pip install --quiet --disable-pip-version-check psutil
	$(BEAM)/bin/python bench/engines.py

bench-train: $(TEST) ## Measure what the trainer learns, and whether its input keeps up
	$(BIN)/python bench/train.py

fuzz: $(TEST) ## Fuzz validation for a minute, guided by coverage
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@mkdir -p build/fuzz
	$(BIN)/python -m tests.validate.fuzz build/fuzz -max_total_time=60

stress: $(TEST) ## Kill processes, fail calls into the system and stores, for two minutes
	$(BIN)/python -m tests.support.stress $(DSBUILD_STRESS_SECONDS)

clean: ## Remove the environments and all that was made
	rm -rf $(VENV) $(BEAM) build dist demo *.egg-info
