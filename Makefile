# Everything a reader or an author runs. `make help` lists it.
# Every target sets itself up: the first run makes .venv from the locked requirements.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH := .venv-bench
INSTALLED := $(VENV)/.installed
FAST := .venv-fast
PORT ?= 8000
JOBS ?= 2
PYTEST_ARGS ?=
ROUNDS ?=
# A file, and so a notebook, is run by one worker; conftest.py says which files come first.
WORKERS = -n $(JOBS) --dist loadfile --no-loadscope-reorder

# Networks as small as the book's lose more to threads than they gain.
export OPENBLAS_NUM_THREADS ?= 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Only a kernel's own choice of backend draws inline.
unexport MPLBACKEND
# Workers and kernels load the same modules: compiled once, not by each of them.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help

.PHONY: help
help: ## show this list
	@echo "make TARGET, where TARGET is one of"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: install
install: $(INSTALLED) ## make .venv with everything the book needs

$(INSTALLED): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { \
		echo "$(PYTHON) was not found. Install Python 3.11 or newer, or name one:"; \
		echo "  make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; } >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "The book needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1)."; \
		echo "Name a newer one: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)"; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments: its module venv or ensurepip is missing."; \
		echo "On Debian and Ubuntu: sudo apt-get install python3-venv"; exit 1; } >&2
	@$(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing the locked requirements into $(VENV): a minute or two."
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: book
book: $(INSTALLED) ## build the book from the stored outputs
	@$(BIN)/jupyter-book build .
	@echo "Open $(CURDIR)/_build/html/index.html"

# An incremental build repeats no warning of the one before: strict means from nothing.
.PHONY: book-strict
book-strict: $(INSTALLED) ## build from nothing; every warning is an error
	@rm -rf _build
	@$(BIN)/jupyter-book build . -W -n --keep-going
	@echo "Open $(CURDIR)/_build/html/index.html"

.PHONY: serve
serve: book ## build, then serve the book at http://127.0.0.1:8000 (PORT=...)
	@echo "Reading at http://127.0.0.1:$(PORT)/ (stop with Ctrl-C)"
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html $(PORT)

.PHONY: test
test: $(INSTALLED) ## unit tests, doctests and every notebook (PYTEST_ARGS=...)
	@$(BIN)/python -m pytest -m "not browser" $(WORKERS) $(PYTEST_ARGS)

# Printed numbers must not depend on the last bit: without AVX-512, with other BLAS kernels, sums are
# rounded in another order.
.PHONY: test-portable
test-portable: $(INSTALLED) ## every notebook again, with the arithmetic of an older x86 processor
	@OPENBLAS_CORETYPE=Haswell NPY_DISABLE_CPU_FEATURES=X86_V4 \
		$(BIN)/python -m pytest book $(WORKERS) $(PYTEST_ARGS)

# numba and its compiler beside what .venv already has: that is seen through a .pth file.
$(FAST)/.installed: $(INSTALLED) requirements-fast.lock
	@$(BIN)/python -m venv --clear --without-pip $(FAST)
	@$(FAST)/bin/python -c 'import sys, sysconfig; from pathlib import Path; \
		Path(sysconfig.get_path("purelib"), "book.pth").write_text( \
			f"import site; site.addsitedir({sys.argv[1]!r})\n")' \
		"$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
	@$(BIN)/python -m pip --python $(FAST)/bin/python install --quiet --no-deps --require-hashes \
		-r requirements-fast.lock
	@touch $@

FAST_TESTS := $(addprefix tests/test_,$(addsuffix .py,fast fast_kernels networks optimizers \
	quantized_networks runs training transfer))

.PHONY: test-fast
test-fast: $(FAST)/.installed ## the compiled kernels, and every notebook again with them
	@OPTLEARN_FAST=1 OPTLEARN_FAST_REQUIRED=1 $(FAST)/bin/python -m pytest $(FAST_TESTS) book \
		-m "not browser" $(WORKERS) $(PYTEST_ARGS)

.PHONY: test-site
test-site: book-strict ## build strictly, then test every page in Chromium
	@$(BIN)/python -m pytest -m browser tests $(PYTEST_ARGS)

.PHONY: notebooks
notebooks: $(INSTALLED) ## run the chapters whose outputs are out of date
	@$(BIN)/python tools/run_notebooks.py

# transfer_budgets.py reads the rates that transfer_rates.py has tuned.
STUDIES := experiments/transfer_rates.py \
	$(filter-out experiments/_% experiments/transfer_rates.py,$(sort $(wildcard experiments/*.py)))

.PHONY: experiments
experiments: $(INSTALLED) ## run the studies behind book/_data/*.csv again (half an hour)
	@for file in $(STUDIES); do echo "$$file"; \
		OPENBLAS_NUM_THREADS=1 PYTHONPATH=. $(BIN)/python $$file || exit 1; done

.PHONY: lint
lint: $(INSTALLED) ## style, spelling and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/codespell
	@$(BIN)/python tools/notebook_text.py | $(BIN)/codespell -
	@$(BIN)/mypy

# The peers are large and none of the book's business: they have an environment of their own.
.PHONY: bench
bench: ## time optlearn beside its peers (10 minutes; ROUNDS=3 is a look)
	@$(BENCH)/bin/python -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear $(BENCH)
	@$(BENCH)/bin/python benchmarks/install.py
	@$(BENCH)/bin/python -m benchmarks.run $(if $(ROUNDS),--rounds $(ROUNDS))

.PHONY: lock
lock: ## renew both requirements*.lock from their .txt (needs uv)
	@uv pip compile --quiet --upgrade --generate-hashes --universal --python-version 3.11 \
		--no-emit-package optlearn --no-annotate --no-header --output-file requirements.lock \
		requirements.txt
	@uv pip compile --quiet --upgrade --generate-hashes --universal --python-version 3.11 \
		--constraints requirements.lock --no-emit-package numpy --no-annotate --no-header \
		--output-file requirements-fast.lock requirements-fast.txt

.PHONY: clean
clean: ## delete the built book and the caches
	@rm -rf _build .pytest_cache .ruff_cache .mypy_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +
