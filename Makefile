# The verbs a person types. `make run` and `make test` need Python 3.12 and make, nothing else.

PYTHON ?= python3.12
UV := .tools/bin/uv
PY := .venv/bin/python
export UV_PYTHON_DOWNLOADS := never

.PHONY: run test check bench faults reference mutation clean

run: .venv/.service  ## a sample shop on http://127.0.0.1:8080
	PRICING_OPEN_LOOPBACK=true PRICING_LOG_FORMAT=console PRICING_LOG_LEVEL=$${PRICING_LOG_LEVEL:-warning} $(PY) -m app demo

test: .venv/.complete  ## the whole suite, on up to four cores
	$(PY) -m pytest -n auto --maxprocesses 4

check: .venv/.complete  ## style, types, import contracts, migrations
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PY) -m pytest -q tests/integration/db/test_migrations.py

bench: .venv/.complete  ## the figures of the README
	$(PY) -m loadtests.bench

faults: .venv/.complete  ## the long form of the tests that break things, hours on two cores; writes docs/reliability.md
	FAULT_SCALE=$${FAULT_SCALE:-1000} FAULT_PAGE=docs/reliability.md $(PY) -m pytest -q tests/faults tests/unit/quotes/test_spool_log.py \
		tests/e2e/test_away.py tests/e2e/test_two_pods.py tests/contract/test_schemathesis.py \
		tests/reference/test_engine_agrees.py $(wildcard tests/simulation)
	$(PY) -m tests.faults.campaign --minutes $${CAMPAIGN_MINUTES:-60} --state .data/campaign.json --page docs/reliability.md

reference: .venv/.complete  ## the engine against the plain reference: 100 million lines of random shops, some hours on two cores
	$(PY) -m tests.reference.campaign --lines $${REFERENCE_LINES:-100000000} --seed $${REFERENCE_SEED:-0}

mutation: .venv/.complete  ## app/pricing with one thing changed at a time: a test must fail; hours for all files
	$(PY) -m tests.mutation.run --seconds $${MUTATION_SECONDS:-60} $(MUTATION_FILES)

clean:  ## everything that was built; the data in .data stays
	rm -rf .venv .tools .mutation .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# What the service needs; what else is installed stays.
.venv/.service: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --no-dev --inexact --extra embedded --compile-bytecode
	touch $@

# Everything, tests and optional parts included.
.venv/.complete: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --all-extras --compile-bytecode
	touch $@ .venv/.service

# uv from pip, in a folder of the project: nothing is installed into the system's Python.
$(UV):
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.9,<1"
