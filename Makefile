# Two commands matter to a newcomer: `make demo` and `make test`. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Where the GPU machine finds packages that it lacks, and where they are unpacked there.
WHEELS ?= .whl
SITE ?= /tmp/autocompress-site
GPU_PYTHON ?= python3
# A file's tests stay together: they share what was searched or trained for them. A worker that crashed is not replaced:
# with whole files to hand out, pytest-xdist would wait for its successor for ever.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --max-worker-restart 0

.DEFAULT_GOAL := help

.PHONY: help
help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/cpu.stamp: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable '.[cpu]'
	@touch $@

$(VENV)/dev.stamp: $(VENV)/cpu.stamp
	$(PIP) install --quiet --constraint constraints.txt --editable '.[cpu,dev]'
	@touch $@

.PHONY: install
install: $(VENV)/cpu.stamp  ## make .venv and install autocompress into it

.PHONY: demo
demo: $(VENV)/cpu.stamp  ## install, train the demo problem once, and search over it
	$(BIN)/autocompress demo

.PHONY: test
test: $(VENV)/dev.stamp  ## install what the tests need, and run them all
	$(PYTEST)

.PHONY: check
check: $(VENV)/dev.stamp  ## what CI runs: lint, types, import contracts, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST)

.PHONY: screenshots
screenshots: $(VENV)/dev.stamp  ## draw the documents' pictures of the terminal UI anew
	$(BIN)/python benchmarks/screenshots.py docs/screenshots

.PHONY: format
format: $(VENV)/dev.stamp  ## format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: wheel
wheel: $(VENV)/dev.stamp  ## build the wheel into dist/
	$(BIN)/python -m build --wheel --outdir dist

.PHONY: gpu-wheels
gpu-wheels: $(VENV)/dev.stamp  ## gather, for a GPU machine without a network, this package and what it may lack, into WHEELS
	mkdir -p $(WHEELS) && rm -f $(WHEELS)/*.whl
	$(BIN)/python -m build --wheel --outdir $(WHEELS)
	$(PIP) download --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
		--platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
		--constraint constraints.txt --dest $(WHEELS) --requirement tests/gpu/missing-packages.txt

.PHONY: gpu-check
gpu-check:  ## run the tests that need a CUDA device, with GPU_PYTHON and the packages in WHEELS
	rm -rf $(SITE) && mkdir -p $(SITE)
	if ls $(WHEELS)/*.whl >/dev/null 2>&1; then \
		$(GPU_PYTHON) -m pip install --quiet --no-index --no-deps --no-compile --target $(SITE) $(WHEELS)/*.whl; fi
	PYTHONPATH=$(CURDIR):$(SITE) $(GPU_PYTHON) -c \
		'from autocompress.measure.nvml import why_no_device; raise SystemExit(why_no_device())'
	PYTHONPATH=$(CURDIR):$(SITE):$$PYTHONPATH $(GPU_PYTHON) -m pytest -m gpu -p no:cacheprovider tests/gpu

.PHONY: clean
clean:  ## remove what the targets made, runs excepted
	rm -rf $(VENV) dist build *.egg-info .mypy_cache .ruff_cache .pytest_cache
