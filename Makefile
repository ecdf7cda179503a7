# `make demo` and `make test` do everything on a fresh machine with Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
FULL := $(VENV)/.full
UV := .bootstrap/bin/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
# The demo needs no model family but the pocket space, which needs no torch: several gigabytes less to fetch.
LIGHT := --group dev --extra heic --extra jxl --extra login --extra map --extra masks --extra mcp --extra postgres --extra provenance --extra raw --extra serve --extra watch --extra zones
MODELS := --group models --extra asr --extra caption --extra clap --extra detect --extra e5 --extra export --extra fit --extra imagebind --extra imagine --extra multilingual --extra ocr --extra openclip --extra tips --extra translate
ENGINES := --group engines --extra milvus --extra pgvector --extra ray --extra s3 --extra telemetry

.PHONY: demo test check bench lock format texts
.DEFAULT_GOAL := demo

demo: $(READY)
	$(BIN)/sensorium demo

# Bytecode is kept, whatever the environment says: tests start hundreds of processes that import the same modules.
test: export PYTHONDONTWRITEBYTECODE =
# A test that fails is tried once more and is told as a rerun, with what it said. More than a few such tests fail the run.
test: $(FULL)
	$(BIN)/pytest -n 3 --dist worksteal --reruns 1 --max-suite-reruns 6 --rerun-show-tracebacks

check: $(FULL)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(FULL)
	$(BIN)/python -m tests.bench

format: $(FULL)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Collects what the page says, and compiles what translates it.
texts: $(FULL)
	$(BIN)/python -m tests.texts

lock: $(UV)
	$(COMPILE) --upgrade $(LIGHT) --output-file requirements.lock pyproject.toml
	$(COMPILE) --upgrade $(LIGHT) $(MODELS) $(ENGINES) --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml

# uv comes through pip into a folder of its own, so that nothing outside this checkout changes.
$(UV):
	$(PYTHON) -m venv .bootstrap
	.bootstrap/bin/python -m pip install --quiet --disable-pip-version-check uv==0.13.9

$(READY): requirements.lock pyproject.toml | $(UV)
	$(call install,requirements.lock)
	touch $@

$(FULL): requirements-dev.lock pyproject.toml | $(UV)
	$(call install,requirements-dev.lock)
	touch $@ $(READY)

define install
$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes $(1)
$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
endef
