# Everything runs from a bare machine: Python >= 3.11, gcc and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

KERNELS := CMakeLists.txt $(wildcard src/knotwork/kernels/cpu/*)

.PHONY: setup demo test docs lint format bench soak clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt $(KERNELS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/knotwork demo --out out/demo

test: setup
	$(BIN)/python -m pytest -n 2

# Warnings are errors: a link, a name in a docstring or an example that fails ends the build.
docs: setup
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet $(SPHINX_OPTIONS) docs out/docs

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --warnings

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python benchmarks/article.py --short
	$(BIN)/python benchmarks/layers.py --short
	$(BIN)/python benchmarks/steps.py --short
	$(BIN)/python benchmarks/grid.py --short
	$(BIN)/python benchmarks/rows.py --short
	$(BIN)/python benchmarks/scaling.py --short
	$(BIN)/python benchmarks/flakiness.py --widths 2 5 --seeds 0 1 2

# Kills, damaged files, a thousand fits, threads, workers and full disks: minutes of two cores.
soak: setup
	$(BIN)/python benchmarks/soak.py

clean:
	rm -rf $(VENV) out build dist docs/_generated
