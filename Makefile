# One way to run everything. Each target works alone from a bare clone: set-up comes first and is skipped when done.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo demo-assistant test test-slow test-boards fuzz test-frameworks test-pythons lint format types contracts docs docs-check wheel-check check bench bench-converters train artifacts FORCE

PY := .venv/bin/python
STAMP := build/.installed
DEMO := build/.installed-demo
INSTALL := $(PY) -m pip install --disable-pip-version-check
PYTEST := $(PY) -m pytest -q --dist loadfile -n 2
DIGITS := edge/models/digits
PACKAGED := edge apps converters runtimes hardware_profiles

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

setup: $(STAMP) ## a virtual environment in .venv with everything in it

demo: $(DEMO) ## everything once, on what is in the box; writes edgekit-demo/index.html
	@$(PY) -m edgekit demo

demo-assistant: $(STAMP) ## a question answered from the project's own documents, with citations
	@$(PY) -m edgekit run assistant --documents docs --data build/assistant --ask "What does the fallback get to see of my documents?"

test: $(STAMP) ## the tests (minutes)
	@$(PYTEST) -m "not slow"

test-slow: $(STAMP) ## the tests that take long
	@$(PYTEST) -m slow

test-boards: $(STAMP) ## a board in software: flashed, boots, serves, is updated over SSH, refuses a bad version, goes back (QEMU 10)
	@$(PY) -m pytest -q -m slow tests/emulate/test_full_boot.py

fuzz: $(STAMP) ## a long, coverage-guided fuzz of the readers of artifacts, profiles and models (atheris, 5 minutes each)
	@$(PY) -m pip install -q atheris
	@$(PY) tests/fuzz/readers.py artifact
	@$(PY) tests/fuzz/readers.py profile
	@$(PY) tests/fuzz/readers.py onnx
	@$(PY) tests/fuzz/readers.py tflite

test-frameworks: ## the importers of other frameworks' files, with those frameworks in environments of their own (several GB with PyTorch's CUDA)
	@.ci/frameworks

lint: $(STAMP) ## style and format
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .

format: $(STAMP) ## mend style and format
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

types: $(STAMP) ## mypy --strict
	@$(PY) -m mypy
	@$(PY) -m mypy docs benchmarks

contracts: $(STAMP) ## which layer may import which
	@.venv/bin/lint-imports

docs: $(STAMP) ## write the generated parts of README and docs
	@$(PY) docs/generate.py

docs-check: $(STAMP) ## fail when a generated part is stale
	@$(PY) docs/generate.py --check

wheel-check: $(STAMP) ## build the wheel from a clean clone and test what users get
	@.ci/wheel-check $(CURDIR)/$(PY)

test-pythons: $(STAMP) ## the same on every Python 3.10 to 3.13 that is here
	@.ci/wheel-check $$(.ci/find-python 3.10 3.11 3.12 3.13)

check: test lint types contracts docs-check ## what to run before a commit

bench: $(STAMP) ## measure edgekit itself; writes benchmarks/results/*.json
	@for name in startup face install_size spine accuracy; do $(PY) benchmarks/$$name.py || exit 1; done

bench-converters: $(STAMP) ## measure the converters beside their peers, and write the tables of docs/converters.md (hours)
	@$(PY) benchmarks/converters.py

train: $(STAMP) ## train the shipped digit network again (PyTorch, an hour); DATA=folder of MNIST idx files
	@$(PY) -m pip install --progress-bar off -e '.[dev,train]'
	@$(PY) -m edgekit train digits $(if $(DATA),--data $(DATA))

artifacts: $(STAMP) ## the shipped digit artifacts again, from the shipped network
	@$(PY) -m edgekit convert $(DIGITS)/digits.onnx -t rpi --precision int8 --calibration $(DIGITS)/samples -o $(DIGITS)/artifacts --force
	@$(PY) -m edgekit convert $(DIGITS)/digits.onnx -t cpu --precision fp32 -o $(DIGITS)/artifacts --force

# The package is installed as links to these folders ([editable_wheel] in setup.cfg), so it is installed again when a file
# comes or goes, when the settings change, when build/ (where the links are) is cleaned, and when the checkout is moved.
# What converts and runs models is a quarter of what all tests need: the demo waits for no more, and is content with all.
$(DEMO): setup.cfg pyproject.toml .venv/pyvenv.cfg .venv/files
	@echo "setup: installing edgekit into .venv, with what converts and runs models (once; about 300 MB)"
	@$(INSTALL) -e '.[convert]'
	@mkdir -p build && touch $@

$(STAMP): setup.cfg pyproject.toml .venv/pyvenv.cfg .venv/files
	@echo "setup: installing edgekit and its tools into .venv (once; a few hundred MB the first time)"
	@$(INSTALL) -e '.[dev]'
	@mkdir -p build && touch $@ $(DEMO)

.venv/pyvenv.cfg:
	@python=$$(.ci/find-python) && echo "setup: a virtual environment in .venv, from $$python" && "$$python" -m venv .venv
	@touch $@

.venv/files: FORCE | .venv/pyvenv.cfg
	@{ echo "$(CURDIR)"; find $(PACKAGED) -type f -not -name '*.py[co]' | sort; } > $@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
