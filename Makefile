# On a fresh machine with Python 3.11 or newer: `make demo`, `make test`. PYTHON=… chooses another.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test shuffled coverage check format lint types pyright imports bench clean

demo: $(VENV)/installed
	$(BIN)/eventtime demo

test: $(VENV)/test
	$(BIN)/python -m pytest -n 2 --dist loadfile

# In another order; the seed is printed, and SEED=… gives the same order again. TESTS=… chooses some.
shuffled: $(VENV)/test
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --random-order $(if $(SEED),--random-order-seed=$(SEED)) $(TESTS)

# Three times as long as `make test`.
coverage: $(VENV)/test
	$(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage report

# What CI checks before the tests.
check: format lint types pyright imports

format: $(VENV)/lint
	$(BIN)/ruff format --check .
lint: $(VENV)/lint
	$(BIN)/ruff check .
types: $(VENV)/lint $(VENV)/test
	$(BIN)/mypy
pyright: $(VENV)/lint $(VENV)/test
	$(BIN)/pyright --pythonpath $(BIN)/python
imports: $(VENV)/lint
	$(BIN)/lint-imports

bench: $(VENV)/bench
	$(BIN)/python -m benchmarks

# --group needs a newer pip than Python 3.11 brings along.
$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "eventtime needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/test $(VENV)/lint $(VENV)/bench: $(VENV)/%: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --group $*
	touch $@

clean:
	rm -rf $(VENV) dist build
