# The two commands a fresh machine needs: `make demo` and `make test`.
# `make check` is what CI runs: lint, prose, types, import contracts and every test.
# Each target installs what it needs into $(VENV), once.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Processes that share the tests; 0 runs them in one, in their order. One more than processors,
# since the tests that kill, time out and start clusters wait most of their time.
WORKERS ?= $(shell $(PYTHON) -c "import os; print(1 + (os.cpu_count() or 1))")
# One thread of linear algebra in each process: two that have two of them wait for each other.
PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=$(WORKERS)
INSTALL := $(BIN)/python tools/install.py -c constraints.txt -e
# A stamp for each set of extras that is installed; the developer's holds the demo's.
DEMO   := $(VENV)/.installed-demo
STAMP  := $(VENV)/.installed-dev
DOCS   := $(VENV)/.installed-docs
BROWSER := $(VENV)/.installed-browser

.PHONY: help install demo test thorough test-fast lint prose types contracts check bench docs linkcheck site-check pictures notebooks wheel-check clean

help:
	@echo "make demo       install, then fit QSVR on real data, tune a network, draw the figures"
	@echo "make test       install, then run every test"
	@echo "make thorough   the same, with more repetitions of faults and kills"
	@echo "make test-fast  every test not marked slow"
	@echo "make check      lint, prose, types, import contracts and every test (what CI runs)"
	@echo "make bench      quick form of every benchmark"
	@echo "make docs       the documentation, in docs/_build/html; a warning is an error"
	@echo "make site-check look at the built pages in a browser: layout, accessibility, screenshots"
	@echo "make linkcheck  follow the documentation's links to other sites; needs a network"
	@echo "make pictures   draw the documentation's pictures again, in docs/_static"
	@echo "make notebooks  run every notebook and write its output"
	@echo "make wheel-check  build the wheel and the sdist, and try them without a compiler"

install: $(STAMP)

$(BIN)/python:
	@echo "Making a virtual environment in $(VENV) (about 5 s)"
	@$(PYTHON) -m venv $(VENV)

$(DEMO): pyproject.toml constraints.txt | $(BIN)/python
	@echo "The demo needs PyTorch and Matplotlib besides the core: about 1 minute, 1.3 GB on disk"
	@$(INSTALL) ".[torch,plot]"
	@touch $(DEMO)

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@$(INSTALL) ".[dev]"
	@touch $(DEMO) $(STAMP)

demo: $(DEMO)
	@$(BIN)/python examples/_steps.py examples/demo.py
	@$(BIN)/python examples/_steps.py examples/hpo_demo.py

test: $(STAMP)
	$(PYTEST)

thorough: export THOROUGH = 1
thorough: test

test-fast: $(STAMP)
	$(PYTEST) -m "not slow"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pylint qsvr hpo tests tools benchmarks examples docs notebooks

prose: $(STAMP)
	$(BIN)/codespell
	$(BIN)/python tools/prose.py

types: $(STAMP)
	$(BIN)/mypy
	@# What is not of Linux stands behind a question for the platform.
	$(BIN)/mypy --platform win32 --no-warn-unreachable --no-warn-unused-ignores
	$(BIN)/mypy --platform darwin --no-warn-unreachable --no-warn-unused-ignores

contracts: $(STAMP)
	$(BIN)/lint-imports

check: $(STAMP)
	$(MAKE) --jobs=2 --output-sync=target lint prose types contracts
	$(MAKE) test

bench: $(STAMP)
	@set -e; for script in benchmarks/*.py; do \
	    case $$script in */_*) continue;; esac; \
	    echo "== $$script"; $(BIN)/python $$script --quick; done

$(DOCS): $(STAMP)
	@$(INSTALL) ".[docs]"
	@touch $(DOCS)

docs: $(DOCS)
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html
	$(BIN)/python docs/_ext/site_links.py docs/_build/html

# The links to other sites; needs a network.
linkcheck: $(DOCS)
	$(BIN)/python -m sphinx -q -b linkcheck docs docs/_build/linkcheck

$(BROWSER): $(DOCS)
	@$(INSTALL) ".[browser]"
	@command -v chromium > /dev/null || $(BIN)/python -m playwright install chromium
	@npm install --silent --no-fund --no-audit --prefix docs/_build axe-core
	@touch $(BROWSER)

site-check: docs $(BROWSER)
	@mkdir -p docs/_build/screenshots
	SITE=$(CURDIR)/docs/_build/html SITE_SCREENSHOTS=$(CURDIR)/docs/_build/screenshots \
	    $(BIN)/python -m pytest tests/docs/test_site.py tests/docs/test_browser.py

pictures: $(STAMP)
	@set -e; for script in flows architecture tube zephyr rungs; do $(BIN)/python docs/pictures/$$script.py; done

notebooks: $(STAMP)
	$(BIN)/python notebooks/render.py

wheel-check:
	$(PYTHON) tools/wheel_check.py

clean:
	rm -rf docs/_build docs/api docs/notebooks
	rm -rf $(VENV) build dist demo-output .mypy_cache .ruff_cache .pytest_cache
