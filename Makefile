# Everything on a bare machine with Python 3.11+ and make. uv is used when it is there, pip otherwise.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(shell command -v uv >/dev/null 2>&1 && echo "uv pip install --python $(BIN)/python" || echo "$(BIN)/python -m pip install --disable-pip-version-check")

.PHONY: demo test test-prefect test-vllm test-trainers test-browser lint types faults benchmarks clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/core: pyproject.toml hatch_build.py selfinstruct/text/_novelty.c | $(BIN)/python
	$(INSTALL) -q -e . && touch $@

$(VENV)/dev: pyproject.toml hatch_build.py selfinstruct/text/_novelty.c | $(BIN)/python
	$(INSTALL) -q -e '.[dev]' && touch $@ $(VENV)/core

demo: $(VENV)/core            ## the whole pipeline without a model, under 30 s
	$(BIN)/selfinstruct demo

test: $(VENV)/dev             ## the fast tests
	$(BIN)/python -m pytest -q -n auto --dist loadfile

test-prefect: $(VENV)/dev     ## a real Prefect server and worker: a scheduled run comes by itself
	$(BIN)/python -m pytest -q tests/prefect

test-vllm: $(VENV)/dev        ## a real vLLM server on CPU, in an environment of its own
	$(BIN)/python -m pytest -q tests/vllm

test-trainers: $(VENV)/dev    ## TRL's trainers on our exports, in an environment of its own
	$(BIN)/python -m pytest -q tests/trainers

test-browser: $(VENV)/dev     ## the viewer in a real Chromium; SELFINSTRUCT_PICTURES=docs/pictures takes its pictures
	$(BIN)/python -m pytest -q tests/browser

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev
	$(BIN)/mypy

benchmarks: $(VENV)/dev       ## the figures of the README, measured here
	for file in novelty agreement scripts runner http_engine startup kills judging labels refilter; do $(BIN)/python benchmarks/$$file.py || exit 1; done

clean:
	rm -rf $(VENV) .venv-vllm .venv-trainers demo runs
