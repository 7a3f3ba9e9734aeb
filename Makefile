# Everything a newcomer needs. Each target installs into .venv by itself when that has not been done.
PYTHON ?= python3
RUN := .venv/bin/python

.PHONY: help demo test fuzz lint install clean

help:
	@echo "make demo    detect in sample photos and a short clip with the released weights"
	@echo "make test    run the tests"
	@echo "make fuzz    read damaged files of every kind, FUZZ_SECONDS=60 long each; what fails is kept in fuzz-failures"
	@echo "make lint    check style, format, the floors of the house and types"
	@echo "make install make .venv and install this package into it, with the extras demo and dev"
	@echo "make clean   remove .venv and caches"

install: .venv/installed

.venv/installed: setup.py
	$(PYTHON) -m venv .venv
	$(RUN) -m pip install --quiet --disable-pip-version-check -e ".[demo,dev]"
	touch $@

demo: .venv/installed
	$(RUN) tools/demo.py

test: .venv/installed
	$(RUN) -m pytest -n 2

FUZZ_SECONDS ?= 60
fuzz: .venv/installed
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(RUN) -m pytest -n 2 tests/fuzz

lint: .venv/installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	.venv/bin/lint-imports
	$(RUN) -m mypy

clean:
	rm -rf .venv .pytest_cache .ruff_cache *.egg-info
