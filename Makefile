# Two commands matter: `make lab` opens the course, `make test` runs every test. Each sets up first what is missing.

PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest

# Notebooks and tests call `kmskit` by its name.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# Tests and stored outputs depend on nobody's Jupyter settings, IPython start-up files or cloud credentials.
test _tests _notebooks test-modules notebooks soak bench bench-record: export HOME := $(CURDIR)/.cache/home

.PHONY: help setup lab test _tests _notebooks test-modules test-cloud check notebooks handout soak fuzz bench bench-record clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*  ## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

setup:  ## make .venv with every package pinned; bring SoftHSM and Chromium
	@tools/setup.sh
	@mkdir -p .cache/home

# JupyterLab shows a stored picture only if the notebook is trusted, and these are the ones of this checkout.
lab: setup  ## open the course in JupyterLab; LAB_ARGS="..." goes on to it
	@.venv/bin/jupyter trust notebooks/*.ipynb >/dev/null
	$(PYTHON) -m jupyterlab $(if $(filter 0,$(shell id -u)),--allow-root) --ServerApp.root_dir=. $(LAB_ARGS) notebooks/00-start-here.ipynb

# These run on every backend and show the same.
NEUTRAL := $(wildcard notebooks/0[0-5]-*.ipynb)

# Both parts at once: much of a test is waiting.
test: setup  ## run every test: unit, conformance, notebooks, browser
	@start=$$(date +%s); failed=0; \
	$(MAKE) --no-print-directory --keep-going --jobs=2 _tests _notebooks || failed=1; \
	echo "make test took $$(($$(date +%s) - start)) s"; exit $$failed

_tests:
	@$(PYTEST)

# Shown when it is done, so that the two do not mix.
_notebooks:
	@failed=0; told=$$(mktemp); { \
	$(PYTEST) -p kmskit.testing.notebooks notebooks || failed=1; \
	$(PYTHON) -m tests.on_every_backend $(NEUTRAL) || failed=1; \
	} >$$told 2>&1; cat $$told; rm $$told; exit $$failed

# A token of the user's choice besides: KMSKIT_TEST_PKCS11_URI='pkcs11:token=NAME?module-path=FILE'.
test-modules: setup  ## run the suite on NSS softokn, a second PKCS#11 module
	@tools/setup.sh nss
	$(PYTEST) -m modules tests/modules

check: setup  ## lint, format, types and spelling
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy
	$(PYTHON) -m codespell_lib

notebooks: setup  ## run the notebooks again and store their outputs
	$(PYTHON) -m kmskit.testing.notebooks notebooks/*.ipynb

handout: setup  ## the course for students, without solutions: OUT=folder
	@$(PYTHON) -m kmskit.testing.notebooks.handout "$(or $(OUT),$(error say where: make handout OUT=folder))" \
		notebooks data SECURITY.md $(filter-out docs/teaching.md,$(wildcard docs/*))

soak: setup  ## the long fault and load runs
	KMSKIT_SOAK=1 $(PYTEST) -m soak --timeout=0

# With the user's own HOME, where the vendor's tools keep profiles. Not part of `make test`.
test-cloud: setup  ## run the suite on the real service, after it has asked: KMSKIT_CLOUD=real KMSKIT_URI=alibaba://...
	@$(PYTHON) -m tests.cloud $(CLOUD_ARGS)

fuzz: setup  ## fuzz the parsers, a minute each; FUZZ_SECONDS=10 is shorter
	for parser in envelope context ciphertext uri; do \
	$(PYTHON) -m tests.fuzz $$parser -max_total_time=$(or $(FUZZ_SECONDS),60) || exit 1; done

bench: setup  ## measure speed beside the bare libraries, and fail if a floor is missed
	$(PYTHON) -m kmskit.bench

# Notebook 10 shows what is recorded, so its outputs are stored anew.
bench-record: setup  ## measure throughput and how cost grows, for data/ and notebook 10
	$(PYTHON) -m kmskit.bench record data
	$(PYTHON) -m kmskit.testing.notebooks notebooks/10-throughput.ipynb

clean:  ## remove what was made here: .venv, caches, artifacts
	rm -rf .venv .cache .hypothesis artifacts
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
