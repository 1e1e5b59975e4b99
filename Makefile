# make demo: train, score and explain a model on a fresh machine.  make test: everything that CI checks.
PYTHON ?= python3
BIN := .venv/bin
export PYTHONUNBUFFERED := 1
# pip compiles nothing (--no-compile): the first import does, and writes it down for all later processes
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test lint types doctest unit slow benchmark campaign docs results release setup clean

setup: .venv/.done

.venv/.done: constraints.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt setuptools wheel
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-build-isolation --no-compile --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/zoo train blackbox/digits --out runs/demo-blackbox --overwrite
	$(BIN)/zoo train protopnet/digits --out runs/demo --overwrite reference=runs/demo-blackbox

test: setup
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target lint types doctest
	$(MAKE) --no-print-directory unit

lint: setup
	$(BIN)/ruff check zoo recipes tests docs
	$(BIN)/ruff format --check zoo recipes tests docs

types: setup
	$(BIN)/pyright

doctest: setup
	$(BIN)/python -m pytest --doctest-modules zoo

unit: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

slow: setup
	$(BIN)/python -m pytest -m slow

benchmark: setup
	$(BIN)/python -m pytest -m benchmark -s

# kills, damaged files, full disks, lost processes, hostile names; N=40 make campaign kills 40 times in each family
campaign: setup
	$(BIN)/python tests/reliability/campaign.py

# the documentation, in build/site: strict, without the network
docs: .venv/.docs
	OMP_NUM_THREADS=1 NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python docs/_generate/check_site.py build/site

.venv/.docs: .venv/.done
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-build-isolation --editable '.[docs]'
	touch $@

# sdist and wheel in dist/, compared with the checkout, installed into a clean environment and used
release: setup
	$(BIN)/python tests/release/check_release.py

# one page with the scores of all checkpoints
results: setup
	$(BIN)/python docs/_generate/results_page.py build/results.html

clean:
	rm -rf .venv runs build dist *.egg-info
