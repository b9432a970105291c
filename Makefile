# make bench: set up and run the benchmarks. make test: set up and run the tests.
# make test-fast: the quick part of them, for the inner loop.
# make test-litert-torch: the tests of the extra that `all` leaves out, in an environment on top of .venv.
# make test-unpinned: convert and judge three models in an environment without constraints (newest versions, some GB).
# make check-installs: what the extras resolve to for each PYTHONS, by pip's dry run.
# make check: format, lint, types, layers, links of the docs. make docs: build docs/ as a site into site/.
# make screenshot: docs/run.svg, docs/report.png and docs/report-cell.png anew, from a real run.
# make perf: measure edgeworthy itself.
# make weights: train the two embedded models and a student again (their weights are part of the package, and committed).
# make dist: build the sdist and the wheel into dist/, and try the wheel in an environment of its own.
# make reference: MobileNet and Xception at their real sizes (docs/published-numbers.md).
# make bench-tasks: small models of other tasks (docs/adding-a-task.md); make weights-tasks: train them again.
# make ladder: fetch public models that nobody here made, and judge them (docs/ladder.md).
# make accelerators: install what emulates accelerators; make bench-accelerators: the digits on them (docs/accelerators.md).
# make lab: build the devices that the tests start on loopback; make lab-bench: the benchmarks on them (docs/lab.md).
# Suites start hundreds of processes, each of which would compile edgeworthy anew.
unexport PYTHONDONTWRITEBYTECODE
PYTHON ?= python3
BIN := .venv/bin
LITERT_TORCH := .venv/litert-torch
UNPINNED := .venv/unpinned
PYTHONS ?= python3.11 python3.12 python3.13
# One worker for each of two cores; make test WORKERS=0 for one process.
WORKERS ?= 2
PARALLEL = -n $(WORKERS) --dist loadfile --no-loadscope-reorder
TESTS ?= tests/
# The inner loop: the units, and a few runs as a user starts them.
FAST := tests/unit tests/integration/test_devices.py tests/integration/test_evidence.py

.PHONY: setup accelerators bench-accelerators bench weights bench-tasks weights-tasks reference test test-fast test-litert-torch test-unpinned check-installs check docs screenshot perf dist ladder lab lab-bench clean

setup: .venv/.ready

# Made anew whenever what is pinned changes. First pip itself: that of Debian 12 cannot build what comes as source alone.
.venv/.ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	touch $@

# Debian's chromium-common has the software Vulkan driver that LiteRT's GPU accelerator runs on.
accelerators: .venv/.accelerators
	@test -e /usr/lib/chromium/libvk_swiftshader.so || { test "$$(id -u)" = 0 && apt-get -qq update && \
		DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium-common >/dev/null; } || \
		echo "make accelerators: for the emulated GPU install Debian's package chromium-common, as root"

.venv/.accelerators: .venv/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[accelerators]'
	touch $@

bench-accelerators: accelerators
	$(BIN)/pytest benchmarks/ -o edge_models=benchmarks/accelerators/models.yaml \
		-o edge_devices=benchmarks/accelerators/devices.yaml $(ARGS)

bench: setup
	$(BIN)/pytest benchmarks/ $(ARGS)

weights: setup
	$(BIN)/python benchmarks/make_weights.py

bench-tasks: setup
	$(BIN)/pytest benchmarks/ -o edge_models=benchmarks/tasks/models.yaml --edge-target host:cpu $(ARGS)

weights-tasks: setup
	$(BIN)/python benchmarks/tasks/train.py $(MODELS)

reference: setup
	$(BIN)/pytest benchmarks/ -o edge_models=benchmarks/reference_models.yaml $(ARGS)

# A file's tests stay together, for they share what they convert. A test that hangs fails after a quarter of an hour.
test: setup
	$(BIN)/pytest --timeout 900 $(PARALLEL) $(TESTS) $(ARGS)

test-fast: setup
	$(BIN)/pytest $(PARALLEL) $(FAST) $(ARGS)

# Without the plugins that the extra brings: that of anyio warns, and warnings are errors here.
test-litert-torch: $(LITERT_TORCH)/.ready
	$(LITERT_TORCH)/bin/python -m pytest -p no:anyio -p no:jaxtyping -k litert_torch \
		tests/integration/test_litert_torch.py tests/integration/test_recipes.py $(ARGS)

# It sees the packages of .venv beneath its own, so that only what the extra adds is installed.
$(LITERT_TORCH)/.ready: .venv/.ready
	test -x $(LITERT_TORCH)/bin/python || $(BIN)/python -m venv $(LITERT_TORCH)
	$(BIN)/python -c 'import sysconfig; print("import site; site.addsitedir(%r)" % sysconfig.get_path("purelib"))' \
		> $$($(LITERT_TORCH)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/beneath.pth
	$(LITERT_TORCH)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'edgeworthy[litert-torch]'
	touch $@

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --quiet --strict --site-dir .mkdocs_cache

docs: setup
	$(BIN)/mkdocs build --strict

screenshot: setup
	$(BIN)/python benchmarks/perf/screenshot.py

# As a user installs it: no constraints, the public build of torch.
test-unpinned: $(UNPINNED)/.ready
	rm -rf $(UNPINNED)/project
	mkdir $(UNPINNED)/project
	$(UNPINNED)/bin/python tests/unpinned.py $(UNPINNED)/project

$(UNPINNED)/.ready: pyproject.toml
	test -x $(UNPINNED)/bin/python || $(PYTHON) -m venv $(UNPINNED)
	$(UNPINNED)/bin/python -m pip install --quiet --disable-pip-version-check \
		-e '.[digits,litert,quantizer,onnx,tensorflow,torch,onnx2tf]'
	touch $@

check-installs: setup
	$(BIN)/python tests/check_installs.py $(PYTHONS)

perf: setup
	$(BIN)/python benchmarks/perf/run.py $(ARGS)

dist: setup
	$(BIN)/python .ci/dist.py

ladder: setup
	$(BIN)/python benchmarks/ladder/run.py $(ARGS)

lab: setup
	$(BIN)/python -m tests.lab.build $(ARGS)

lab-bench: setup
	$(BIN)/python -m tests.lab.build phone pi
	$(BIN)/python -m tests.lab.run $(ARGS)

clean:
	rm -rf .venv .edgeworthy .mkdocs_cache build dist site *.egg-info
