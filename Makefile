# make bench: set up and run the benchmarks. make test: set up and run the tests.
# make check: format, lint, types, layers. make perf: measure edgegate itself.
# make reference: MobileNet and Xception at their real sizes (docs/published-numbers.md).
# make lab: build the devices that the tests start on loopback; make lab-bench: the benchmarks on them (docs/lab.md).
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup bench reference test check perf lab lab-bench clean

setup: .venv/.ready

# Made anew whenever what is pinned changes.
.venv/.ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	touch $@

bench: setup
	$(BIN)/pytest benchmarks/ $(ARGS)

reference: setup
	$(BIN)/pytest benchmarks/ -o edge_models=benchmarks/reference_models.yaml $(ARGS)

test: setup
	$(BIN)/pytest tests/ $(ARGS)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

perf: setup
	$(BIN)/python benchmarks/perf/run.py $(ARGS)

lab: setup
	$(BIN)/python -m tests.lab.build $(ARGS)

lab-bench: setup
	$(BIN)/python -m tests.lab.build phone pi
	$(BIN)/python -m tests.lab.run $(ARGS)

clean:
	rm -rf .venv .edgegate build dist *.egg-info
