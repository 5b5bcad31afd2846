# `make` lists the commands. Each one that needs the environment sets it up by itself.
.DEFAULT_GOAL := help
.PHONY: help quickstart test lint format bench setup clean
.NOTPARALLEL:

# Without its cache each process would compile again all that it imports, which takes longer than most
# tests.
unexport PYTHONDONTWRITEBYTECODE
export PYTHON
PYTHON ?= python3
BIN := .venv/bin
# Further arguments: make quickstart ARGS="--seed 1", make test PYTEST_ARGS="-k splits -n 0"
ARGS ?=
PYTEST_ARGS ?=

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

quickstart: ## Learn, train and evaluate on one task, and write runs/quickstart/report.html
	@scripts/setup.sh run
	@$(BIN)/drl-latent quickstart $(ARGS)

# The tests share the cores between processes, so torch gets one thread in each.
test: ## Run the tests
	@scripts/setup.sh test
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile $(PYTEST_ARGS)

lint: ## Check style and types
	@scripts/setup.sh dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: ## Format the code and mend what can be mended
	@scripts/setup.sh dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: ## Run the benchmarks, scripts/bench_*.py
	@scripts/setup.sh run
	@[ -n "$(wildcard scripts/bench_*.py)" ] || echo "There are no scripts/bench_*.py yet."
	@for script in $(sort $(wildcard scripts/bench_*.py)); do \
		echo "== $$script"; $(BIN)/python $$script $(ARGS) || exit 1; \
	done

setup: ## Set up everything for development, and nothing else
	@scripts/setup.sh dev

clean: ## Remove caches and build products, but neither .venv nor runs/
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis MUJOCO_LOG.TXT
	@find agents drl_latent envs scripts tests -name __pycache__ -type d -prune -exec rm -rf {} +
