# Each target sets up what it needs in $(VENV); `make demo` and `make test` work on a fresh clone with
# Python 3.11 and a C++17 compiler (without a compiler the NumPy kernels are used, and say so).
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
SOURCES := pyproject.toml CMakeLists.txt $(shell find src -type f -not -name '*.pyc')
DATA ?= ../shared/data
BENCH ?= build/bench
FIRST_MODEL := src/kukla/embed/models/kukla-static-en-v1
BENCH_ROWS ?= 50000

.PHONY: demo test lint bench model clean help

help:  ## what there is to make
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/.plot  ## index and search your Python's documentation, and draw what each prefix costs
	$(BIN)/kukla demo --to demo

test: $(VENV)/.test  ## the test suite against the installed package
	$(BIN)/python -m pytest

lint: $(VENV)/.test $(VENV)/.lint  ## ruff and the strict type checker
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.bench  ## minutes: kernels, plans, and Kukla beside its peers with the figure (DATA=folder)
	$(BIN)/python -m benchmarks.kernels
	$(BIN)/python -m benchmarks.plans $(DATA)
	$(BIN)/python -m benchmarks.passages $(DATA)
	test -f $(BENCH)/wikipedia/base.npy || \
	  $(BIN)/python -m benchmarks.peers make wikipedia $(BENCH)/wikipedia --data $(DATA) --count $(BENCH_ROWS)
	$(BIN)/python -m benchmarks.peers run $(BENCH)/results $(BENCH)/wikipedia --rows $(BENCH_ROWS) \
	  --quick --searches 6 --seconds 0.5 --engine-minutes 3
	$(BIN)/python -m benchmarks.peers report $(BENCH)/results --figure $(BENCH)/pareto.png

model: $(VENV)/.recipe  ## train the built-in model again from DATA: an hour or two, most of it the teacher's
	mkdir -p build
	git archive d1e1bc5 $(FIRST_MODEL) | tar -x -C build --strip-components=4
	$(BIN)/python -m recipes.builtin_model $(DATA) --start build/$(notdir $(FIRST_MODEL)) --out build/kukla-static-en-v2

clean:  ## remove everything that was built
	rm -rf $(VENV) build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.plot: $(BIN)/python $(SOURCES)
	$(PIP) '.[plot]'
	@touch $@

$(VENV)/.test: $(BIN)/python $(SOURCES)
	$(PIP) '.[test]'
	@touch $@

$(VENV)/.bench: $(BIN)/python $(SOURCES)
	$(PIP) '.[bench]'
	@touch $@

$(VENV)/.lint: $(BIN)/python pyproject.toml
	$(PIP) 'ruff>=0.9' 'mypy>=1.15'
	@touch $@

$(VENV)/.recipe: $(BIN)/python $(SOURCES)
	$(PIP) 'torch==2.13.0' && $(PIP) '.[recipe]'
	@touch $@
