# The two commands a fresh machine needs: `make demo` and `make test`.
# `make check` is what CI runs: lint, types, import contracts and every test.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Processes that share the tests; 0 runs them in one, in their order.
WORKERS ?= 2
# One thread of linear algebra in each process: two that have two of them wait for each other.
PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=$(WORKERS)
STAMP  := $(VENV)/.installed
DOCS   := $(VENV)/.docs-installed

.PHONY: help install demo test thorough test-fast lint types contracts check bench docs pictures notebooks clean

help:
	@echo "make demo       install, then fit QSVR on real data, tune a network, draw the figures"
	@echo "make test       install, then run every test"
	@echo "make thorough   the same, with more repetitions of faults and kills"
	@echo "make test-fast  every test not marked slow"
	@echo "make check      lint, types, import contracts and every test (what CI runs)"
	@echo "make bench      quick form of every benchmark"
	@echo "make docs       the documentation, in docs/_build/html; a warning is an error"
	@echo "make pictures   draw the documentation's pictures again, in docs/_static"
	@echo "make notebooks  run every notebook and write its output"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[all]"
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/python examples/demo.py
	$(BIN)/python examples/hpo_demo.py

test: $(STAMP)
	$(PYTEST)

thorough: export THOROUGH = 1
thorough: test

test-fast: $(STAMP)
	$(PYTEST) -m "not slow"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pylint qsvr hpo tests benchmarks examples docs notebooks

types: $(STAMP)
	$(BIN)/mypy
	@# What is not of Linux stands behind a question for the platform.
	$(BIN)/mypy --platform win32 --no-warn-unreachable --no-warn-unused-ignores
	$(BIN)/mypy --platform darwin --no-warn-unreachable --no-warn-unused-ignores

contracts: $(STAMP)
	$(BIN)/lint-imports

check: lint types contracts test

bench: $(STAMP)
	@set -e; for script in benchmarks/*.py; do \
	    case $$script in */_*) continue;; esac; \
	    echo "== $$script"; $(BIN)/python $$script --quick; done

$(DOCS): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	@touch $(DOCS)

docs: $(DOCS)
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

pictures: $(STAMP)
	@set -e; for script in flows tube zephyr rungs; do $(BIN)/python docs/pictures/$$script.py; done

notebooks: $(STAMP)
	$(BIN)/python notebooks/render.py

clean:
	rm -rf docs/_build docs/api docs/notebooks
	rm -rf $(VENV) build dist demo-output .mypy_cache .ruff_cache .pytest_cache
