# make run            set up what is missing, then serve on http://localhost:8000 (IC_PORT)
# make test           the same set-up with the tools of tests and a browser, then every test
# make dev            serve with hot reload
# make check          style, types, layers and migrations
# make stop           stop what serves from this folder
# make bench          measure what a run costs beyond its model; SHORT=1 takes a few seconds, ONLY=spending is one table
# make stress         kill processes while customers work, and count; SECONDS=60 SEED=7 OUTAGE=60
# make requirements   choose the versions again, after a change of requirements.in or requirements-dev.in

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What Python has compiled once, it starts with in half the time: let it keep that.
unexport PYTHONDONTWRITEBYTECODE
BEGAN := $(shell date +%s)

.PHONY: run test dev check stop bench stress requirements setup setup-dev browser

run: setup
	@exec $(BIN)/python -m ingram_app serve --since $(BEGAN)

test: setup-dev browser
	$(BIN)/python -m pytest

dev: setup-dev
	@exec $(BIN)/python -m ingram_app dev

check: setup-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m ingram_app migrate --check

stop:
	@if [ -x $(BIN)/python ]; then exec $(BIN)/python -m ingram_app stop; else echo "Nothing is set up here."; fi

bench: setup-dev
	$(BIN)/python -m benchmarks.run $(if $(SHORT),--short) $(if $(ONLY),--only $(ONLY))

stress: setup-dev
	$(BIN)/python -m tests.stress $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(if $(OUTAGE),--outage $(OUTAGE))

requirements: setup-dev
	@for list in requirements requirements-dev; do \
	  $(BIN)/uv pip compile -q --universal --python-version 3.11 --custom-compile-command "make requirements" \
	    $$list.in -o $$list.txt || exit 1; \
	done

# Both lists share one environment. The longer one holds the shorter, and once it is in, it stays in.
setup-dev: LIST = requirements-dev.txt
setup: LIST = $(if $(wildcard $(VENV)/has-tools),requirements-dev.txt,requirements.txt)
setup setup-dev:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Ingram Cloud needs Python 3.11 or newer. Name one: make run PYTHON=/path/to/python3.12" >&2; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@cmp -s $(LIST) $(VENV)/installed || { \
	  echo "Installing what $(LIST) names ..." && \
	  { [ -x $(BIN)/uv ] || $(BIN)/python -m pip install -q --disable-pip-version-check "$$(grep -o '^uv==[0-9.]*' $(LIST))"; } && \
	  $(BIN)/uv pip sync -q --python $(BIN)/python $(LIST) && \
	  cp $(LIST) $(VENV)/installed; }
	@[ $(LIST) = requirements.txt ] || touch $(VENV)/has-tools

browser:
	@command -v chromium >/dev/null || \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core; \
	  else $(BIN)/playwright install chromium; fi
