# Everything runs in a virtual environment of its own, made from the lock file.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OUT := build/demo
JOBS ?= auto
PYTHONS ?= 3.12 3.13

.PHONY: help setup demo test test-fast lint types pytest docs dist wheel-check lowest pythons models lock bench clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

setup: $(STAMP)  ## virtual environment with pinned dependencies and cimc itself

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: $(STAMP)  ## the main job: compile a DLRM, run 2,048 recorded requests, check them
	mkdir -p $(OUT)
	$(BIN)/cimc compile models/dlrm_small.onnx -o $(OUT)/dlrm_small.cimc --calib models/dlrm_small.calib.npz
	$(BIN)/cimc run $(OUT)/dlrm_small.cimc --inputs models/dlrm_small.requests.npz --mode adc \
		--check models/dlrm_small.onnx --outputs $(OUT)/outputs.npz

test: lint types pytest  ## everything that continuous integration checks

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy
	$(BIN)/mypy tests/packaging/typed_use.py

pytest: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

test-fast: $(STAMP)  ## the tests that take a minute together
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not slow"

docs: $(STAMP)  ## the documentation site, in build/site; a warning is an error
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going -b html docs build/site

dist: $(STAMP)  ## wheel and source distribution, in dist/
	$(BIN)/python -m hatchling build --clean

wheel-check: $(STAMP)  ## install the wheel alone and do there what the README shows
	$(BIN)/python -m tests.packaging.wheel_check

lowest: $(STAMP)  ## the fast tests with the lowest versions that pyproject.toml allows
	mkdir -p build
	$(BIN)/uv pip compile --quiet --python-version 3.11 --resolution lowest-direct --no-header --no-annotate \
		--group dev pyproject.toml -o build/lowest.txt
	$(BIN)/python -m tests.packaging.elsewhere 3.11 build/lowest.txt -n $(JOBS)

pythons: $(STAMP)  ## the fast tests with the other Pythons of this machine
	for version in $(PYTHONS); do \
		$(BIN)/python -m tests.packaging.elsewhere $$version requirements.lock -n $(JOBS) || exit; done

models: $(STAMP)  ## train and export the models of models/ again (about a minute)
	$(BIN)/python -m models.build all --seed 0 --out models

lock: $(STAMP)  ## renew the lock file within the bounds of pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --group dev pyproject.toml -o requirements.lock

bench: $(STAMP)  ## measured comparisons; see docs for what each one says
	$(BIN)/python bench/kernels.py
	$(BIN)/python bench/mapping/compare.py

clean:  ## forget the environment and everything built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
