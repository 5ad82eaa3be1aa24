# make demo | test | lint | bench: each creates the environment it needs.
VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
export MUJOCO_GL ?= egl

.PHONY: demo test lint bench install system
.NOTPARALLEL:

demo: install system
	$(BIN)/xdistill demo

test: install system
	$(BIN)/python -m pytest

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: install
	$(BIN)/python -m pytest -m speed tests/speed -s

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[all,dev]"
	touch $@

# Headless rendering for MetaWorld: EGL, with OSMesa as the way out.
LIBRARIES := libegl1 libgl1 libglvnd0 libosmesa6
system:
	@if ldconfig -p | grep -q libEGL.so.1; then :; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && apt-get install -y -qq $(LIBRARIES) >/dev/null; \
	else \
		echo "Headless rendering needs: sudo apt-get install -y $(LIBRARIES)" >&2; exit 1; \
	fi
