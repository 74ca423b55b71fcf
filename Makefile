# The commands that people and CI run. Needs Python 3.11 or later and make; everything else is installed into .venv.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
KILLS  ?= 50
SEEDS  ?= 2000

.PHONY: demo test check bench soak test-real clean

demo: $(VENV)/.installed            ## a firmware rollout over 1,024 simulated nodes
	$(BIN)/fleet demo

test: $(VENV)/.installed-dev        ## the tests
	$(BIN)/pytest -n auto

check: $(VENV)/.installed-dev       ## exactly what CI checks besides the tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-dev       ## figures, measured here and now, beside the tools that people use otherwise
	$(BIN)/python tests/bench/bench.py

soak: $(VENV)/.installed-dev        ## SEEDS simulated histories, planted bugs; kill -9 at KILLS moments of 256-node rollouts
	$(BIN)/python tests/simulation/run.py --seeds $(SEEDS)
	$(BIN)/python tests/simulation/run.py --planted
	$(BIN)/python tests/soak/soak.py --kills $(KILLS) --nodes 256
	$(BIN)/python tests/soak/soak.py --journey --kills $(KILLS)

test-real: $(VENV)/.installed-dev   ## against counterparts that are not ours; as root it installs them from Debian
	if [ "$$(id -u)" = 0 ]; then bash tests/real/install.sh; fi
	FLEET_TEST_REAL=1 $(BIN)/pytest tests/real

clean:
	rm -rf $(VENV) .fleet

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Fleetwave needs Python 3.11 or later; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@
