# Everything runs in a virtual environment of its own, made from the lock file.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
OUT := build/demo

.PHONY: help setup demo test lint types pytest models lock bench clean

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

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

pytest: $(STAMP)
	$(BIN)/python -m pytest

models: $(STAMP)  ## train and export the models of models/ again (about a minute)
	$(BIN)/python -m models.build all --seed 0 --out models

lock: $(STAMP)  ## renew the lock file within the bounds of pyproject.toml
	$(BIN)/python -m pip install --quiet 'uv>=0.6,<1'
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --group dev pyproject.toml -o requirements.lock

bench: $(STAMP)  ## measured comparisons; see docs for what each one says
	$(BIN)/python bench/kernels.py
	$(BIN)/python bench/mapping/compare.py

clean:  ## forget the environment and everything built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
