# Everything a user runs. Each target does all it needs on a fresh machine with python 3.11, pip and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
SITE   := $(BIN)/sphinx-build -W --keep-going -q -b html docs build/docs

.PHONY: setup demo base bench bench-score photographs study study-claims ablation docs coverage test test-slow test-faults soak fuzz lint format clean

setup: $(STAMP)

$(STAMP): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev,serve,docs]"
	@touch $(STAMP)

demo: setup
	$(BIN)/python tools/demo.py --out runs/demo

base: setup
	$(BIN)/python tools/make_base.py

photographs:
	@test -n "$(DATA)" || { echo "make photographs DATA=DIR [OUT=runs/photographs]: DIR holds faces, clothing and so on"; exit 2; }
	@$(MAKE) --no-print-directory setup
	$(BIN)/python tools/photographs.py --data "$(DATA)" --out "$(or $(OUT),runs/photographs)"

study:
	@test -n "$(DATA)" || { echo "make study DATA=DIR [OUT=runs/study] [MINUTES=60]: DIR holds faces, clothing and so on"; exit 2; }
	@$(MAKE) --no-print-directory setup
	$(BIN)/python tools/study.py --data "$(DATA)" --out "$(or $(OUT),runs/study)" --minutes "$(or $(MINUTES),60)"

study-claims:
	@test -n "$(DATA)" || { echo "make study-claims DATA=DIR [OUT=runs/study] [MINUTES=12]: DIR holds faces, lsp and clothing"; exit 2; }
	@$(MAKE) --no-print-directory setup
	$(BIN)/python tools/study_claims.py --data "$(DATA)" --out "$(or $(OUT),runs/study)" --minutes "$(or $(MINUTES),12)"

bench: setup
	$(BIN)/python benchmarks/bench.py

bench-score: setup
	$(BIN)/python benchmarks/score.py

ablation: setup
	$(BIN)/python tools/ablation.py

docs: setup
	$(SITE)

coverage: setup
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m "not slow and not faults" -n 2
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --sort=cover --skip-covered

test: setup
	$(BIN)/python -m pytest -m "not slow and not faults" -n 2

test-slow: setup
	$(BIN)/python -m pytest -m slow

test-faults: setup
	$(BIN)/python -m pytest -m faults

soak: setup
	$(BIN)/python tools/soak.py

fuzz: setup
	IDIFF_FUZZ=120 $(BIN)/python -m pytest tests/fuzz -n 0 --timeout 0

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/idiff schema --check
	$(SITE)

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
