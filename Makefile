# make demo | test | test-hosts | test-hosts-new | lint | bench | pictures | wheel: each creates the environments it needs.
VENV ?= .venv
PYTHON ?= python3
PYTHON312 ?= python3.12
BIN := $(VENV)/bin
# Python compiles what it imports; pip would compile all of torch. Not so in $(VENV), where tests take warnings of compiling for errors.
INSTALL := pip install --quiet --disable-pip-version-check --no-compile

.PHONY: demo test test-hosts test-hosts-new lint bench pictures wheel install system
.NOTPARALLEL:

demo: install system
	$(BIN)/xdistill demo
	$(BIN)/xdistill report xdistill-demo

# As many processes as there are cores, up to 4, of one thread each: most tests are too small for two threads.
test: install system
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --durations 20

# LeRobot pins an older torch, so it has an environment of its own. TorchRL and robomimic have one on top of $(VENV);
# robomimic comes without what it requires: egl_probe, for rendering alone, does not build with CMake 4.
# The hosts' own warnings are not ours to mend, so none is an error here.
test-hosts: install .venv-lerobot/.installed .venv-hosts/.installed
	LEROBOT_PYTHON=.venv-lerobot/bin/python $(BIN)/python -m pytest tests/policy_examples/formats/test_lerobot_peer.py
	.venv-lerobot/bin/python -m pytest -p no:warnings tests/hosts/test_lerobot.py
	.venv-lerobot/bin/python -m pytest -p no:warnings tests/hosts/test_pages.py -k lerobot
	.venv-hosts/bin/python -m pytest -p no:warnings tests/hosts/test_torchrl.py tests/hosts/test_robomimic.py
	.venv-hosts/bin/python -m pytest -p no:warnings tests/hosts/test_pages.py -k "torchrl or robomimic"

# The newest LeRobot that was tried, on the Python that it needs.
test-hosts-new: .venv-lerobot-new/.installed
	.venv-lerobot-new/bin/python -m pytest -p no:warnings tests/hosts/test_lerobot.py
	.venv-lerobot-new/bin/python -m pytest -p no:warnings tests/hosts/test_pages.py -k lerobot

.venv-lerobot-new/.installed: pyproject.toml
	$(PYTHON312) -m venv --clear .venv-lerobot-new
	.venv-lerobot-new/bin/python -m $(INSTALL) --editable ".[lerobot]" lerobot==0.6.1 pytest
	touch $@

.venv-lerobot/.installed: pyproject.toml
	$(PYTHON) -m venv --clear .venv-lerobot
	.venv-lerobot/bin/python -m $(INSTALL) --editable . lerobot==0.4.4 pytest
	touch $@

.venv-hosts/.installed: $(VENV)/.installed
	$(PYTHON) -m venv --clear .venv-hosts
	$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> $$(.venv-hosts/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/beneath.pth
	.venv-hosts/bin/python -m $(INSTALL) --editable ".[robomimic,torchrl]" torchrl==0.14.1
	.venv-hosts/bin/python -m $(INSTALL) --no-deps robomimic==0.3.0
	touch $@

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: install
	$(BIN)/python -m pytest -m speed tests/speed -s

# Those of README and docs/results.md, from labelled images and the teacher of the bundled weights.
LABELLED ?= ../shared/data/eval/imagenette_val.parquet
TEACHER ?= ../shared/teachers/vit_tiny_patch16_224.augreg_in21k_ft_in1k
pictures: install
	$(BIN)/xdistill explain classes --images $(LABELLED) --encoders random resnet18-bn-vit-ti16-augreg-97k \
		--teacher $(TEACHER) --image-size 128 --output classes
	mv classes/classes.png docs/pictures/classes.png
	mv classes/summary.json docs/pictures/classes.json
	rmdir classes
	$(BIN)/xdistill table policy_examples/results/benchmark.csv
	$(BIN)/xdistill table policy_examples/results/benchmark_bundled.csv

# Builds the wheel, installs it with its dependencies in an environment of its own, uses it from another folder:
# the encoder with what it needs alone, then the smallest benchmark.
wheel: install system
	rm -rf dist .venv-wheel
	$(BIN)/python -m build --quiet
	$(PYTHON) -m venv .venv-wheel
	.venv-wheel/bin/python -m $(INSTALL) dist/*.whl
	command=$$PWD/.venv-wheel/bin/xdistill && cd /tmp && $$command --version && $$command info
	wheel=$$(echo dist/*.whl) && .venv-wheel/bin/python -m $(INSTALL) "$$wheel[recipes,metaworld]"
	command=$$PWD/.venv-wheel/bin/xdistill && folder=$$(mktemp -d) && cd $$folder && \
		$$command benchmark --suite smoke --preset smoke --seeds 0 --encoders blind xdistill && rm -r $$folder

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "The recipes need Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[all,dev]"
	touch $@

# Headless rendering for MetaWorld on Linux; macOS brings its own.
LIBRARIES := libegl1 libgl1 libglvnd0 libgl1-mesa-dri
system:
	@if [ "$$(uname)" != Linux ] || $(PYTHON) -c 'import ctypes; ctypes.CDLL("libEGL.so.1")' 2>/dev/null; then :; \
	elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		apt-get update -qq && apt-get install -y -qq $(LIBRARIES) >/dev/null; \
	else \
		echo "Headless rendering needs: sudo apt-get install -y $(LIBRARIES)" >&2; exit 1; \
	fi
