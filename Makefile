# Each target stands by itself: it sets up what it needs, and a second run finds it done.
#
#   make demo [SECONDS=60] [SPEED=8] [BROKER=host:1883]

PYTHON ?=
VENV := .venv/bin
export PYTHON
# Tools that requirements/debian.sh unpacked, and Debian's place for mosquitto.
export PATH := $(CURDIR)/.cache/debian/bin:$(PATH):/usr/sbin
.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: demo
demo: ## a whole compound, simulated: ten readers, three boards, a camera; SPEED=8 tells its hour faster; SECONDS=60 fits it in and ends; BROKER=
	@sh requirements/bootstrap.sh demo
	@$(VENV)/gatewayd demo $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SPEED),--speed $(SPEED)) $(if $(BROKER),--broker $(BROKER))

.PHONY: setup-test
setup-test:
	@sh requirements/bootstrap.sh test
	@sh requirements/debian.sh mosquitto ffmpeg chromium fonts

# Most tests wait for ptys, brokers and clocks: two at a time, a file's together, fit in ten minutes.
# The last two lines are the coverage to reach.
.PHONY: test
test: setup-test ## lint, types, import rules, all tests with their coverage
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/mypy
	$(VENV)/lint-imports
	$(VENV)/pytest -n 2 --dist loadfile --cov --cov-report= $(ARGS)
	$(VENV)/coverage report --fail-under=90
	$(VENV)/coverage report --include='gatewayd/domain/*' --fail-under=100

# What takes hours; each target says its bounds and prints its figures. Not in `make test`.
.PHONY: prove prove-fuzz
prove: prove-fuzz ## all long proofs

prove-fuzz: ## fuzz each codec, guided by coverage: ARGS='osdp-session --seconds 3600'; 10 minutes each without
	@sh requirements/bootstrap.sh prove
	$(VENV)/python -m tests.prove.fuzz $(ARGS)

.PHONY: bench
bench: setup-test ## measure, and write docs/reference/benchmarks.md
	$(VENV)/python -m benchmarks $(ARGS)

.PHONY: docs
docs: ## make the generated pages and the settings' JSON Schema
	@sh requirements/bootstrap.sh test
	$(VENV)/python -m gatewayd.reference

.PHONY: wheel
wheel: ## build dist/gatewayd-*.whl
	@sh requirements/bootstrap.sh test
	$(VENV)/python -m build --wheel --no-isolation

# The order matters: each set is bounded by the ones before it. Extras are kept: a package that asks
# for `coverage[toml]` would else be offered a newer one than the pinned, which has no hash here.
.PHONY: lock
lock: ## compile requirements/*.in to pinned, hashed *.txt (needs uv; UPGRADE=1 takes new versions)
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	@for set in runtime demo dev prove; do \
	    uv pip compile -q $(if $(UPGRADE),--upgrade) --universal --python-version 3.11 --generate-hashes --no-strip-extras \
	        --no-emit-index-url --no-emit-find-links \
	        requirements/$$set.in -o requirements/$$set.txt || exit 1; \
	    echo "requirements/$$set.txt"; \
	done

.PHONY: clean
clean: ## remove all that is made: environment, caches, builds
	rm -rf .venv .cache build dist ./*.egg-info .coverage .coverage.* htmlcov \
	    .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
