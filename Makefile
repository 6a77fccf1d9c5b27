# `make help` lists the targets. PYTHON=python3.12 (say) picks another Python for the environment.
SHELL := /bin/bash
PYTHON ?= python3
OUTDIR ?= results/demo

# Processes find the engine's Python, and these recipes find Nextflow, in the environment's bin/.
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export PYTHON
# Nextflow keeps its own files here and reads no ~/.nextflow/config.
export NXF_HOME := $(CURDIR)/.tools/nextflow-home
# A short run spends most of its time in starting Java: these halve it.
export NXF_JVM_ARGS ?= -XX:TieredStopAtLevel=1 -XX:+UseSerialGC

COMPILE = uv pip compile --quiet --universal --generate-hashes --no-annotate --python-version 3.11 \
          --custom-compile-command 'make lock' --constraints scripts/constraints.in pyproject.toml

BENCHMARK_OPTIONS = $(foreach name,SEEDS TRACKS METHODS SETS STUDIES LIMIT,$(if $($(name)),--benchmark_$(shell echo $(name) | tr A-Z a-z) '$($(name))'))

.DEFAULT_GOAL := help
.PHONY: help setup demo benchmark bench aligners test lint format test-unit test-browser test-pipeline test-slurm \
        test-image test-full coverage image image-gpu package lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## set up the locked Python environment (.venv) and Nextflow (.tools); instant when done
	@scripts/setup.sh

demo: setup ## cluster 700 real blood cells through Nextflow; no download of data (OUTDIR=results/demo)
	@nextflow run . -profile test --outdir '$(OUTDIR)' -ansi-log false
	@python scripts/show_demo.py '$(OUTDIR)'

benchmark: setup ## compare with other methods: DATA=folder of h5ad [SEEDS=5 TRACKS= METHODS= SETS= STUDIES= PROGRAMS=toml LIMIT=600]
	@test -d '$(DATA)' || { echo 'ERROR: DATA=$(DATA) is no folder: make benchmark DATA=folder of h5ad files' >&2; exit 2; }
	@# From a folder of its own, where -resume finds the last benchmark whatever else was run since.
	@mkdir -p results/benchmark && data=$$(realpath '$(DATA)') && programs=$$(realpath '$(or $(PROGRAMS),/)') && \
	    cd results/benchmark && nextflow run '$(CURDIR)' -resume --benchmark "$$data" \
	    --outdir '$(CURDIR)/results/benchmark' $(if $(PROGRAMS),--benchmark_programs "$$programs") $(BENCHMARK_OPTIONS)

bench: setup ## speed and memory against a naive implementation: JSON and a plot in results/bench [BENCH='--parts step,memory']
	python benchmarks/bench.py $(BENCH)

test: setup lint test-unit test-browser test-pipeline ## all checks and tests: ruff, nextflow lint, unit, report and pipeline tests

lint: setup ## ruff, nextflow lint, nf-core's checks, meta.yml of the modules, shellcheck, hadolint, prettier
	@scripts/lint/setup.sh
	@scripts/lint/run.sh

format: setup ## lay out code; write meta.yml of the modules and nf-test files anew
	@scripts/lint/setup.sh
	ruff check --fix --quiet . ; ruff format --quiet .
	.tools/lint/bin/python scripts/lint/nf_tests.py --write
	python scripts/conda_environments.py --write
	-.tools/lint/bin/python scripts/lint/module_meta.py --write
	.tools/lint/bin/python scripts/lint/ro_crate.py --write
	if [ -x .tools/prettier/prettier ]; then .tools/prettier/prettier --write --log-level warn .; fi

test-unit: setup ## unit tests of the engine
	python -m pytest -q -n 2 -m 'not slow' tests/unit tests/robustness tests/results

test-browser: setup ## the report in headless Chromium (left out where there is none)
	@scripts/install-axe.sh
	python -m pytest -q -m 'not slow' tests/browser

aligners: ## install STAR for the tests, where that is possible (root, Debian)
	@scripts/install-aligners.sh

test-pipeline: setup aligners ## tests of the pipeline, through Nextflow
	python -m pytest -q -m 'not slow' tests/pipeline

test-slurm: setup ## the pipeline on a Slurm of one node, with jobs that are killed (as root, with slurm-wlm and munge)
	python -m pytest -q -s tests/slurm

image: ## build the CPU image with podman or docker [BASE= TORCH_INDEX= CA_BUNDLE= ENGINE=], see containers/build.sh
	@BASE='$(BASE)' TORCH_INDEX='$(TORCH_INDEX)' CA_BUNDLE='$(CA_BUNDLE)' ENGINE='$(ENGINE)' containers/build.sh cpu

image-gpu: ## build the GPU image
	@BASE='$(BASE)' CA_BUNDLE='$(CA_BUNDLE)' ENGINE='$(ENGINE)' containers/build.sh gpu

test-image: setup ## tests of the CPU image: locked down, and the whole demonstration in it
	CICL_IMAGE_REQUIRED=1 python -m pytest -q tests/images

package: setup ## wheel and source archive in dist/
	rm -rf build dist
	uv build --quiet --out-dir dist .
	@ls -l dist

test-full: setup lint ## everything in `make test`, and the slow tests
	@scripts/install-aligners.sh all
	@scripts/install-seurat.sh
	python -m pytest -q -n 2 tests/unit tests/robustness tests/results
	python -m pytest -q tests/browser tests/pipeline

coverage: setup ## unit tests of the engine with coverage of lines and branches, 90 % at least
	@python -c 'import coverage' 2>/dev/null || uv pip install --quiet coverage
	coverage erase
	coverage run -m pytest -q -n 2 -m 'not slow' tests/unit tests/robustness tests/results
	coverage combine --quiet
	coverage report
	@coverage json --quiet -o - | python -c 'import json, sys; share = json.load(sys.stdin)["totals"]["percent_branches_covered"]; \
	    print(f"branches: {share:.1f} %"); sys.exit(share < 90)'

lock: setup ## resolve the versions anew and write them, with hashes, to requirements*.txt
	uv pip compile --quiet --upgrade --universal --generate-hashes --no-annotate --python-version 3.11 \
	    --custom-compile-command 'make lock' scripts/uv.in --output-file scripts/uv.txt
	uv pip compile --quiet --upgrade --universal --generate-hashes --no-annotate --python-version 3.11 \
	    --custom-compile-command 'make lock' scripts/lint/requirements.in --output-file scripts/lint/requirements.txt
	$(COMPILE) --upgrade --extra dev --output-file requirements-dev.txt
	cp requirements-dev.txt requirements.txt  # the smaller lock keeps the versions of the bigger one
	$(COMPILE) --extra pipeline --output-file requirements.txt

clean: ## remove results, work folders and caches; .venv and .tools stay
	rm -rf results work null .nextflow .nextflow.log* .pytest_cache .ruff_cache .hypothesis build dist
	find bin tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
