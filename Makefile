# make bench: set up and run the benchmarks. make test: set up and run the tests.
# make test-litert-torch: the tests of the extra that `all` leaves out, in an environment on top of .venv.
# make check: format, lint, types, layers. make perf: measure edgegate itself.
# make reference: MobileNet and Xception at their real sizes (docs/published-numbers.md).
# make lab: build the devices that the tests start on loopback; make lab-bench: the benchmarks on them (docs/lab.md).
PYTHON ?= python3
BIN := .venv/bin
LITERT_TORCH := .venv/litert-torch

.PHONY: setup bench reference test test-litert-torch check perf lab lab-bench clean

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

# Without the plugins that the extra brings: that of anyio warns, and warnings are errors here.
test-litert-torch: $(LITERT_TORCH)/.ready
	$(LITERT_TORCH)/bin/python -m pytest -p no:anyio -p no:jaxtyping -k litert_torch \
		tests/integration/test_litert_torch.py tests/integration/test_recipes.py $(ARGS)

# It sees the packages of .venv beneath its own, so that only what the extra adds is installed.
$(LITERT_TORCH)/.ready: .venv/.ready
	test -x $(LITERT_TORCH)/bin/python || $(BIN)/python -m venv $(LITERT_TORCH)
	$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
		> $$($(LITERT_TORCH)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/beneath.pth
	$(LITERT_TORCH)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'edgegate[litert-torch]'
	touch $@

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
