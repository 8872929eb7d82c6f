# The one front door. `make` lists what there is. K, ARGS, ROUNDS, SEED and UPGRADE, given on
# the command line, reach the scripts through their environment.

.DEFAULT_GOAL := help
SHELL := bash

stamp = $(shell cat pyproject.toml requirements/bootstrap.txt requirements/$(1).txt | cksum | cut -d ' ' -f 1)
RUN := .venv/.run-$(call stamp,run)
DEV := .venv/.dev-$(call stamp,dev)
BENCH := .venv-bench/.bench-$(call stamp,bench)
LOWEST := .venv-lowest/.lowest-$(call stamp,lowest)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(if $(wildcard $(DEV)),$(DEV),$(RUN)) ## Watch an agent ask before it acts; ARGS="--auto approve" needs no browser
	@.venv/bin/signoff demo $(ARGS)

.PHONY: test
test: $(DEV) ## All tests, SQLite and PostgreSQL; K=A3 one row's, K=words as pytest -k
	@scripts/test.sh

.PHONY: check
check: $(DEV) ## Format, lint, types, import contracts, fast tests: under a minute
	@scripts/check.sh

.PHONY: fix
fix: $(DEV) ## Format, and repair what the linter can
	@.venv/bin/ruff check --fix-only --quiet .
	@.venv/bin/ruff format .

.PHONY: bench
bench: $(DEV) ## Measure; writes benchmarks/results
	@.venv/bin/python -m benchmarks $(ARGS)

.PHONY: agentdojo
agentdojo: $(BENCH) ## AgentDojo's tasks and attacks through signoff; ARGS="b c" measures parts
	@.venv-bench/bin/python -m benchmarks.agentdojo $(ARGS)

.PHONY: crash
crash: $(DEV) ## Kill and freeze processes at every step; ROUNDS=1000 SEED=7
	@.venv/bin/python -m tests.crash

.PHONY: dropin
dropin: $(DEV) ## LangChain's own tests against our middleware
	@.venv/bin/python -m pytest --quiet tests/langgraph/test_dropin.py -k langchains_own_tests

.PHONY: docs
docs: $(DEV) ## Write the generated pages anew
	@scripts/docs.sh

.PHONY: lock
lock: $(DEV) ## Pin the dependencies anew; UPGRADE=1 takes the newest versions
	@scripts/lock.sh

.PHONY: lowest
lowest: $(LOWEST)

.PHONY: clean
clean: ## Remove the environments and every cache
	rm -rf .venv .venv-bench .venv-lowest build dist
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# An environment is a file: the stamp of the requirements that are installed in it.
$(RUN):
	@scripts/environment.sh .venv requirements/run.txt
	@rm -f .venv/.*-[0-9]*
	@touch $@

$(DEV):
	@scripts/environment.sh .venv requirements/dev.txt
	@rm -f .venv/.*-[0-9]*
	@touch $@

$(BENCH):
	@scripts/environment.sh .venv-bench requirements/bench.txt
	@rm -f .venv-bench/.*-[0-9]*
	@touch $@

$(LOWEST):
	@scripts/environment.sh .venv-lowest requirements/lowest.txt
	@rm -f .venv-lowest/.*-[0-9]*
	@touch $@
