# `make` lists the targets. Each target sets up what it needs in .venv; those for Apache Beam use
# .venv-beam, because Beam pins older versions of protobuf, Pillow and pyarrow.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Stamp files: an environment is installed once, and again only after setup.cfg changes.
BASE := $(VENV)/.base
TEST := $(VENV)/.test
SITE := $(VENV)/.site
BEAM := .venv-beam
TEST_BEAM := $(BEAM)/.test
# Many tests wait for processes and stores, so one more process than cores keeps all cores busy.
TESTERS ?= $(shell expr $$(nproc 2>/dev/null || echo 2) + 1)
# Tests start hundreds of processes, and each would compile the package again.
unexport PYTHONDONTWRITEBYTECODE
TESTS_BEAM := tests/pipelines tests/engines/test_dask.py \
  $(foreach page,clusters statistics,"tests/house/test_pages.py::test_every_block_runs[$(page).md]")
# What somebody who adds a layout or an extra needs; without TensorFlow, torch and Beam.
TESTS_QUICK := tests/format tests/layouts tests/images tests/extras tests/house \
  $(addprefix tests/build/test_,audit.py bad_input.py encode.py palettes.py signatures.py)

.DEFAULT_GOAL := help
.PHONY: help demo test test-quick test-beam test-all lint types format docs docs-check site \
  pictures wheel release-check bench bench-quick bench-engines bench-train fuzz stress clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

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

$(SITE): $(BASE)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

$(TEST_BEAM): setup.cfg pyproject.toml | $(BEAM)
	$(BEAM)/bin/pip install --quiet --disable-pip-version-check --editable '.[test-beam]'
	@touch $@

demo: $(BASE) ## Draw a small VOC tree, build TFRecords from it, validate them, make a page of them
	@rm -rf demo
	$(BIN)/dsbuild demo voc demo/data --samples 80
	$(BIN)/dsbuild voc demo/data demo/tfrecord --shards 4
	$(BIN)/dsbuild validate demo/tfrecord
	$(BIN)/dsbuild inspect demo/tfrecord --html demo/tfrecord.html
	@echo "Open demo/tfrecord.html in a browser."

test: $(TEST) ## Run the tests, except the slow ones
	$(BIN)/python -m pytest -n $(TESTERS) -m "not slow"

test-quick: $(TEST) ## Run the light tests, for a new layout or extra: a minute, without TensorFlow
	$(BIN)/python -m pytest -n $(TESTERS) -p tests.support.light $(TESTS_QUICK)

test-beam: $(TEST_BEAM) ## Run the pipeline tests with Apache Beam, except the slow ones
	$(BEAM)/bin/python -m pytest -n $(TESTERS) -m "not slow" $(TESTS_BEAM)

test-all: $(TEST) $(TEST_BEAM) ## Run all tests, with and without Apache Beam
	$(BIN)/python -m pytest -o faulthandler_timeout=3600
	$(BEAM)/bin/python -m pytest -o faulthandler_timeout=3600 $(TESTS_BEAM)

lint: types ## Check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(TEST) ## Check types: mypy on the package, pyright on code that uses it
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python

format: $(TEST) ## Fix style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(TEST) ## Write what pages take from the code: docs/cli.md, the map in CONTRIBUTING.md
	$(BIN)/python -m tests.house.test_docs
	$(BIN)/python -m tests.house.map --write

docs-check: $(TEST) ## Run every command and follow every link in the pages
	$(BIN)/python -m pytest -n $(TESTERS) -k "not demo_from_nothing" tests/house/test_docs.py \
	  tests/house/test_pages.py tests/house/test_readme.py

site: $(SITE) ## Build the documentation site into build/site; any warning fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "build/site: $(BIN)/python -m http.server --directory build/site"

pictures: $(TEST) ## Follow the tutorial and take its pictures, with Chromium; with ALL=1 many more for your eyes
	$(BIN)/python -m docs.tools.pictures $(if $(ALL),--all)

wheel: $(TEST) ## Build the source archive and the wheel into dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation --outdir dist

release-check: $(TEST) ## Check that tag, version and changelog agree; print the notes: TAG=v1.2.3
	@$(BIN)/python -m tests.house.release $(TAG)

bench: $(TEST) ## Measure speed and memory; bench/README.md has the results
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python bench/build.py
	$(BIN)/python bench/validate.py
	$(BIN)/python bench/layouts.py
	$(BIN)/python bench/read.py
	$(BIN)/python bench/storage.py
	$(BIN)/python bench/scale.py

bench-quick: $(TEST) ## Print one table of the ratios that matter, in four to six minutes
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	$(BIN)/python bench/quick.py

bench-engines: $(TEST_BEAM) ## Measure builds on Beam and Dask against local builds
	$(BEAM)/bin/pip install --quiet --disable-pip-version-check psutil
	$(BEAM)/bin/python bench/engines.py

bench-train: $(TEST) ## Measure what the trainer learns, and how fast it is
	$(BIN)/python bench/train.py

fuzz: $(TEST) ## Fuzz `validate` for a minute, guided by coverage
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[fuzz]'
	@mkdir -p build/fuzz
	$(BIN)/python -m tests.validate.fuzz build/fuzz -max_total_time=60

stress: $(TEST) ## Kill processes and make system calls and stores fail, for two minutes
	$(BIN)/python -m tests.support.stress $(DSBUILD_STRESS_SECONDS)

clean: ## Remove the environments and everything that was built
	rm -rf $(VENV) $(BEAM) build dist demo *.egg-info
