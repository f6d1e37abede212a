# shadow-agent: every command a developer needs. `make help` lists them.

PY := .venv/bin/python
OBJECTS := $(addprefix agent/shadow_agent/kernel/objects/,tap.bpf.o guard.bpf.o)
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup bpf demo test check fmt bench stats mutants fuzz docs lock clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install what is missing: Debian packages (as root), .venv, the BPF object
	@scripts/setup
	@$(MAKE) --no-print-directory bpf

bpf: $(OBJECTS) ## compile the BPF programs into the package
	@:

$(OBJECTS): $(wildcard bpf/*.c bpf/*.h) hatch_build.py
	@test -x $(PY) || { echo 'make: no .venv here (fix: make setup)' >&2; exit 1; }
	@$(PY) hatch_build.py $@

demo: setup ## two nginx versions in namespaces, mirrored and compared (root)
	@$(PY) -m tests.demo $(ARGS)

test: setup ## every test (root); ARGS="-k name" goes to pytest
	@scripts/test $(ARGS)

check: setup ## lint, formatting, types
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

fmt: setup ## format, and fix what lint can fix
	@$(PY) -m ruff check --fix-only --quiet .
	@$(PY) -m ruff format .

bench: setup ## measure coverage, CPU, memory and production's throughput (root)
	@$(PY) -m tests.bench $(ARGS)

stats: setup ## measure the verdict's false alarms and delays, 10 minutes; ARGS="T1 T4" for some
	@OMP_NUM_THREADS=1 $(PY) -m tests.stats $(ARGS)

mutants: setup ## break one promise after the other; each must turn its test red (root)
	@$(PY) -m tests.mutants $(ARGS)

fuzz: setup ## fuzz the rooms that read hostile bytes, 10 minutes; ARGS="--seconds 60 messages"
	@$(PY) -c 'import atheris' 2>/dev/null || $(PY) -m pip install --quiet --disable-pip-version-check \
	    --require-hashes --no-deps --only-binary :all: -r requirements-fuzz.lock
	@$(PY) -m tests.fuzz $(ARGS)

docs: setup ## build the documentation into site/
	@$(PY) -m mkdocs build --strict --quiet

lock: setup ## resolve requirements.lock anew (ARGS="--upgrade" takes newer versions)
	@$(PY) -m uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	    --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
	    --custom-compile-command "make lock" --quiet $(ARGS) -o requirements.lock
	@echo 'atheris>=3.0,<3.1' | $(PY) -m uv pip compile - \
	    --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --no-emit-find-links --no-annotate --custom-compile-command "make lock" --quiet $(ARGS) \
	    -o requirements-fuzz.lock

clean: ## remove everything that was built or installed here
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist out site $(OBJECTS)
	find agent tests -name __pycache__ -prune -exec rm -rf {} +
