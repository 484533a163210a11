# Every task of the project. Each target first brings .venv up to date (scripts/setup; nothing to do: 0.1 s).
#
#   TEST_PROCESSES                                  how many tests at once; they wait more than they compute
#   DEMO_ARGS, PYTEST_ARGS, BENCH_ARGS, LOCK_ARGS   are handed to the program a target runs
#   PYTHON                                          the interpreter to build .venv with
#   WINDLASS_…                                      Windlass's own settings are inherited

CHAOS_ROUNDS ?= 10
FUZZ_EXAMPLES ?= 2000
TEST_PROCESSES ?= 3

# What another project left in the environment must not reach ours.
unexport PYTHONHOME PYTHONPATH
export PYTHON
MAKEFLAGS += --no-print-directory

.PHONY: help demo test coverage check format fuzz chaos bench lock clean

help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' Makefile | expand -t 14

demo: ## Set everything up and run the demo (DEMO_ARGS=--once: end after it)
	@sh scripts/setup server
	@exec .venv/bin/windlass demo $(DEMO_ARGS)

test: check ## Set everything up, run the checks and every test
	@.venv/bin/python -m pytest -n $(TEST_PROCESSES) --dist worksteal $(PYTEST_ARGS)

coverage: ## Every test, and which branches they leave out; it takes twice as long
	@sh scripts/setup test
	@.venv/bin/python -m pytest -n $(TEST_PROCESSES) --dist worksteal $(PYTEST_ARGS) --cov

check: ## Formatting, lint, types and layers
	@sh scripts/setup test
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports

format: ## Format the code and mend what can be mended
	@sh scripts/setup test
	@.venv/bin/ruff check --fix-only .
	@.venv/bin/ruff format .

fuzz: ## Every property-based test, with FUZZ_EXAMPLES examples each
	@sh scripts/setup test
	@WINDLASS_FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) .venv/bin/python -m pytest --timeout=3600 -m hypothesis $(PYTEST_ARGS)

chaos: ## Kill workers, jobs and servers in the middle of their work, CHAOS_ROUNDS times each
	@sh scripts/setup test
	@WINDLASS_CHAOS_ROUNDS=$(CHAOS_ROUNDS) .venv/bin/python -m pytest --timeout=3600 -s tests/chaos $(PYTEST_ARGS)

bench: ## Measure against the budgets
	@sh scripts/setup test
	@.venv/bin/python -m bench $(BENCH_ARGS)

lock: ## Resolve requirements/*.lock anew (LOCK_ARGS=--upgrade: the newest of everything)
	@sh scripts/setup test
	@sh scripts/lock $(LOCK_ARGS)

clean: ## Remove .venv and everything else that was built
	rm -rf .venv .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find bench src tests -name __pycache__ -type d -prune -exec rm -rf {} +
