# Every target works on a fresh clone: the virtual environment is made when it is missing or older
# than pyproject.toml, and the programs a target needs are looked for, installed or built
# (by `python -m tests.programs`, which without names gets those of a real control plane).

.DEFAULT_GOAL := help
.SHELLFLAGS := -eu -o pipefail -c
SHELL := bash

VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.stamp
REPORTS := .cache/reports

# A demo that ends by itself: make demo ONCE=1
ONCE ?=
export ONCE

# Caches of tools stay together, out of the tree.
export RUFF_CACHE_DIR := .cache/ruff
export MYPY_CACHE_DIR := .cache/mypy
export HYPOTHESIS_STORAGE_DIRECTORY := .cache/hypothesis
export COVERAGE_FILE := .cache/coverage/data
PYTEST := $(PY) -m pytest -o cache_dir=.cache/pytest

.PHONY: help
help: ## Show the targets
	@sed -nE 's/^([a-z][a-z0-9-]*):.*## (.*)/\1\t\2/p' Makefile | while IFS=$$'\t' read -r name text; do printf '%-14s %s\n' "$$name" "$$text"; done

.PHONY: venv
venv: $(STAMP) ## Make the virtual environment with everything for development

$(STAMP): pyproject.toml .ci/make-venv
	@.ci/make-venv $(VENV)
	@$(PY) -m pip install --quiet --upgrade pip
	@$(PY) -m pip install --quiet --editable . --group test --group lint
	@touch $(STAMP)

.PHONY: demo
demo: $(STAMP) ## Simulated GPUs, Prometheus and the standalone server, read through kubectl (ONCE=1 ends)
	@$(PY) -m tests.programs prometheus cc >/dev/null
	@$(PY) -m tests.demo.standalone

.PHONY: demo-cluster
demo-cluster: $(STAMP) ## The same behind a real control plane, with an HPA that scales (ONCE=1 ends)
	@$(PY) -m tests.programs >/dev/null
	@$(PY) -m tests.demo.cluster

.PHONY: test
test: $(STAMP) ## Unit, property, conformance and functional tests, with a real Prometheus
	@$(PY) -m tests.programs prometheus cc --optional helm --optional oracle >/dev/null
	@mkdir -p $(REPORTS)
	$(PYTEST) -q --junitxml=$(REPORTS)/test.xml

.PHONY: e2e
e2e: $(STAMP) ## End-to-end tests on a real etcd, kube-apiserver and kube-controller-manager
	@$(PY) -m tests.programs --optional helm >/dev/null
	@mkdir -p $(REPORTS)
	$(PYTEST) -q tests/e2e -o timeout=240 --junitxml=$(REPORTS)/e2e.xml

.PHONY: differential
differential: $(STAMP) ## Compare with PEER=<command> on drawn rules and series (SEED=, ROUNDS=, SECONDS=, ROUND=)
	@$(PY) -m tests.programs >/dev/null
	@$(PY) -m tests.differential

.PHONY: bench
bench: $(STAMP) ## Reads of a fleet of HPAs; PEER=<command> measures another server beside this one
	@$(PY) -m tests.programs >/dev/null
	@$(PY) -m tests.bench.fleet

.PHONY: bench-relist
bench-relist: $(STAMP) ## What a relist costs over 200 000 series; takes PEER too
	@$(PY) -m tests.programs >/dev/null
	@$(PY) -m tests.bench.relist

.PHONY: bench-scale
bench-scale: $(STAMP) ## Memory and stalls with up to 150 000 pods in one answer
	@$(PY) -m tests.programs prometheus >/dev/null
	@$(PY) -m tests.bench.scale

.PHONY: bench-hpas
bench-hpas: $(STAMP) ## Seconds from a load step to the scale writes of 1 000 stock HPAs; HPAS=, PEER=
	@$(PY) -m tests.programs >/dev/null
	@$(PY) -m tests.bench.hpas

.PHONY: bench-calls
bench-calls: $(STAMP) ## Functions and files that a read, a relist turn and a rule reload run through
	@$(PY) -m tests.bench.calls

.PHONY: bench-exporter
bench-exporter: $(STAMP) ## What the GPU exporter costs with 16 GPUs shared by 128 pods, on a fake driver
	@$(PY) -m tests.programs cc >/dev/null
	@$(PY) -m tests.bench.exporter

SAMPLE ?= 60
SEED ?= 1
FLOOR ?= 0
MUTATE ?=

.PHONY: mutants
mutants: $(STAMP) ## Change the code at random and count the changes that a test notices (SAMPLE=, SEED=, FLOOR=, MUTATE=)
	@$(PY) -m pip install --quiet --group mutants
	@$(PY) -m tests.mutants --sample $(SAMPLE) --seed $(SEED) --floor $(FLOOR) $(MUTATE)

.PHONY: test-gpu
test-gpu: $(STAMP) ## The GPU exporter on this machine's NVIDIA GPUs; fails where there is none
	@$(PY) -m tests.gpu.report
	@mkdir -p $(REPORTS)
	$(PYTEST) tests/gpu -q -s -o timeout=240 --junitxml=$(REPORTS)/test-gpu.xml

.PHONY: chart
chart: $(STAMP) ## Lint the Helm chart and render it with every values file of the tests
	@$(PY) -m tests.programs helm >/dev/null
	$(PYTEST) -q tests/unit/chart
	@PATH="$$PWD/.cache/bin:$$PATH" helm lint --strict charts/metrics-apiserver

.PHONY: manifests
manifests: $(STAMP) ## Render the kustomize base with each component, and check what they hold
	@$(PY) -m tests.programs kubectl >/dev/null
	$(PYTEST) -q tests/unit/manifests

ENGINE ?= $(firstword $(foreach engine,docker podman buildah,$(if $(shell command -v $(engine)),$(engine))))
IMAGE ?= metrics-apiserver
EXPORTER_IMAGE ?= $(patsubst ./%,%,$(dir $(IMAGE))nvml-exporter)
BUILD_ARGS ?=
TAG ?= $(shell sed -nE 's/^version = "(.*)"/\1/p' pyproject.toml)

.PHONY: image
image: ## Build both container images by docker, podman or buildah (ENGINE=, IMAGE=, TAG=, BUILD_ARGS=)
	$(ENGINE) build $(BUILD_ARGS) --target server --tag $(IMAGE):$(TAG) --file Dockerfile .
	$(ENGINE) build $(BUILD_ARGS) --target nvml-exporter --tag $(EXPORTER_IMAGE):$(TAG) --file Dockerfile .

LOCK := .cache/lock/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade --quiet

.PHONY: lock
lock: ## Renew the lock files that the images are built from
	@test -x .cache/lock/bin/uv || { .ci/make-venv .cache/lock && .cache/lock/bin/python -m pip install --quiet uv; }
	$(LOCK) pyproject.toml --output-file requirements.lock
	$(LOCK) pyproject.toml --extra gpu --output-file requirements-gpu.lock
	echo 'hatchling>=1.27' | $(LOCK) - --output-file requirements-build.lock

SUPPLY := .cache/supply

$(SUPPLY)/bin/pip-audit:
	@.ci/make-venv $(SUPPLY)
	@$(SUPPLY)/bin/python -m pip install --quiet --upgrade pip pip-audit cyclonedx-bom

.PHONY: audit
audit: $(SUPPLY)/bin/pip-audit ## Look up known vulnerabilities of every locked package on PyPI; fails when PyPI does not answer
	for lock in requirements*.lock; do $(SUPPLY)/bin/pip-audit --strict --disable-pip --require-hashes --requirement $$lock; done

.PHONY: sbom
sbom: $(SUPPLY)/bin/pip-audit ## List what each image installs, in .cache/sbom (CycloneDX; not the base's own packages)
	@mkdir -p .cache/sbom
	for lock in requirements requirements-gpu; do \
	  $(SUPPLY)/bin/python -m venv --without-pip --clear .cache/sbom/venv; \
	  $(SUPPLY)/bin/pip --quiet --python .cache/sbom/venv/bin/python install --no-compile --require-hashes --no-deps --only-binary=:all: --requirement $$lock.lock; \
	  $(SUPPLY)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-file .cache/sbom/$$lock.cdx.json .cache/sbom/venv; \
	done
	@rm -rf .cache/sbom/venv

CHECKS := check-lint check-format check-types check-imports check-spelling check-docs

.PHONY: check $(CHECKS)
check: $(CHECKS) ## Everything that reads the code without running it (make -k check shows all errors)

check-lint: $(STAMP)
	$(PY) -m ruff check .

check-format: $(STAMP)
	$(PY) -m ruff format --check .

check-types: $(STAMP)
	$(PY) -m mypy --strict

check-imports: $(STAMP)
	$(VENV)/bin/lint-imports --cache-dir .cache/import-linter

check-spelling: $(STAMP)
	$(PY) -m codespell_lib

check-docs: $(STAMP)
	@if [ -f mkdocs.yml ]; then echo "mkdocs build --strict"; $(PY) -m mkdocs build --quiet --strict --site-dir .cache/site; fi

.PHONY: fix
fix: $(STAMP) ## Fix what ruff can fix, and format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

.PHONY: clean
clean: ## Remove the virtual environment and all caches
	rm -rf $(VENV) .cache build dist site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
