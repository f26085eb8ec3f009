# `make` lists the targets: the text after `##`.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python

.PHONY: help setup run test chaos contract check format demo bench docs lock package status down reset clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

setup: ## Find Python 3.13 and install everything into .venv (quick when nothing changed)
	@scripts/setup

run: setup ## Start the whole platform here; Ctrl-C stops it, the data survives (KEYLESS=1: as in Azure, by tokens)
	@exec $(PYTHON) -m localcloud up $(if $(KEYLESS),--keyless) $(ARGS)

demo: setup ## Place three real orders and follow them: confirmed, card declined, out of stock
	@exec $(PYTHON) -m demo $(ARGS)

test: setup ## Run every test but the storm, which is part of `make chaos`; the slowest ten are printed
	@exec $(PYTHON) -m pytest -q -n 3 --dist loadfile --ignore=tests/chaos/test_storm.py $(ARGS)

chaos: setup ## Kill every process at every step of every saga, then a storm; writes docs/crash-matrix.md
	@exec $(PYTHON) -m tests.chaos $(ARGS)

contract: setup ## Send the gateway at least 10,000 requests made of its documents: nothing undocumented may come back
	@exec $(PYTHON) -m tests.contract --at-least 10000 $(ARGS)

check: setup ## Format, lint, types, import contracts, and clients generated from the documents
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports
	@scripts/clients

format: setup ## Format the code and mend what the linter can
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

bench: setup ## Measure orders, reads and import time; results in bench/results/
	@exec $(PYTHON) -m bench $(ARGS)

docs: setup ## Write the reference pages, the OpenAPI documents and the lists of rules anew from the code
	@$(PYTHON) docs/reference.py
	@$(PYTHON) -m tests.rig.authorization_page
	@$(PYTHON) -m localcloud.tests.conformance

lock: setup ## Lock both requirements files anew, with hashes
	@scripts/lock

package: setup ## Build dist/platform.zip, which holds only what is deployed
	@exec $(PYTHON) -m localcloud.package $(ARGS)

status: ## Show the parts of a running platform
	@exec $(PYTHON) -m localcloud status $(ARGS)

down: ## Stop a platform that runs in another terminal or in the background
	@exec $(PYTHON) -m localcloud down $(ARGS)

reset: ## Delete the local data, logs and secrets (asks first)
	@exec $(PYTHON) -m localcloud reset $(ARGS)

clean: ## Delete caches and builds; data and .venv stay
	@rm -rf dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.venv/*' -exec rm -rf {} +
