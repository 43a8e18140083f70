# Everything a person or a machine runs here. Each target makes .venv and installs what it needs first.
#   make demo [RAW=path]   restore a scene made on the spot (or your file) and show before and after
#   make test              format, lint, types, tests
#   make install           the serving part only (no torch)

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet -c constraints.txt
SERVING := $(VENV)/.serving
TESTING := $(VENV)/.testing
REQUIRED := pyproject.toml constraints.txt

.PHONY: install demo test protos benchmarks train clean

install: $(SERVING)

demo: $(SERVING)
	$(BIN)/python -m examples.demo $(if $(RAW),--raw "$(RAW)")

test: $(TESTING)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

# Generated code goes into its own commit; a test checks that this changes nothing.
protos: $(TESTING)
	$(BIN)/python -m grpc_tools.protoc -Iplugin_core/rpc/v1=protos/neural_isp/v1 --python_out=. --pyi_out=. \
	  --grpc_python_out=. protos/neural_isp/v1/restoration.proto

benchmarks: $(TESTING)
	$(BIN)/python -m benchmarks

MODEL ?= standard
train: $(TESTING)
	$(BIN)/python -m training.denoise training/configs/denoise-$(MODEL).toml
	$(BIN)/python -m training.export training/configs/denoise-$(MODEL).toml

clean:
	rm -rf $(VENV) demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "no python3 found: install Python 3.11 or newer, or say make PYTHON=/path/to/python" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11: install Python 3.11 or newer, or say make PYTHON=/path/to/python" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)

$(SERVING): $(REQUIRED) | $(BIN)/python
	@echo "installing the server and the client into $(VENV)"
	$(PIP) -e '.[server]'
	@touch $@

$(TESTING): $(SERVING)
	@echo "installing what the tests need into $(VENV); torch takes a while"
	$(PIP) -e '.[server,dev,diffusion,train,benchmarks]'
	@touch $@
