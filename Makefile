# `make run`: the main job on the bundled sample. `make test`: all tests that need no Hadoop and no browser, but for `make test-slow`: those that take minutes.
# `make test-cluster`: the others, on a real YARN.
# All set up what they need, in .venv and .cluster.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BACKEND ?= dask
ARGS ?=
VENV := .venv
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check
# Without build isolation: what an isolated build fetches is in no lock, so pyspark and this project are built by the locked setuptools.
LOCKED := $(PIP) --require-hashes --no-build-isolation -r

CLUSTER := .cluster
NODES := $(CLUSTER)/environment
DASK_YARN := $(CLUSTER)/dask-yarn
PEERS := .peers

.PHONY: run test test-browser test-slow test-cluster test-cluster-ci cluster-faults cluster-some-faults cluster-conformance cluster-some-conformance cluster-environments \
	soak benchmark benchmark-speed benchmark-quick check audit lock notice clean

run: $(VENV)/run.stamp
	$(VENV)/bin/python -m fruits --backend $(BACKEND) --fresh $(ARGS)

# Three at a time: most of a run's time is the start of an engine, which leaves the processor idle.
test: $(VENV)/dev.stamp
	$(VENV)/bin/python -m pytest --numprocesses 3 --dist worksteal $(ARGS)

# Pages in a real browser: needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver).
test-browser: $(VENV)/dev.stamp
	$(VENV)/bin/python -m pytest tests/browser $(ARGS)

# 20 kills in succession on each engine, and the whole environment of a node installed. ARGS="-k dask" for one of the engines.
test-slow: $(VENV)/dev.stamp
	$(VENV)/bin/python -m pytest -s tests/slow $(ARGS)

# 100,000 images through both engines with an eye on their memory: a quarter of an hour. ARGS="--images 4000" for a try.
soak: $(VENV)/dev.stamp
	$(VENV)/bin/python -m tests.slow.soak $(ARGS)

# In network namespaces of their own, so that nothing listens on this machine's addresses and nothing leaves it: two clusters side by side,
# one for what clusters do and dask-yarn, one for the conformance suite. With ARGS one cluster and what these tell pytest. Needs Java 17, Maven, iproute2.
IN_CLUSTER = FRUITS_TEST_ARCHIVE=$(CURDIR)/$(NODES).tar.gz FRUITS_TEST_DASK_YARN=$(CURDIR)/$(DASK_YARN)/bin/python \
	FRUITS_TEST_DASK_YARN_ARCHIVE=$(CURDIR)/$(DASK_YARN).tar.gz \
	$(VENV)/bin/python tests/real/hadoop/run.py --node-environment $(NODES) --spark $(VENV)/lib/python3.11/site-packages/pyspark -- tests/cluster/suite.sh $(VENV)/bin/python

test-cluster: cluster-environments
	$(if $(ARGS),$(IN_CLUSTER) $(ARGS),$(SIDE_BY_SIDE) cluster-faults cluster-conformance)

# Without what is marked slow, without dask-yarn's conformance suite, and of the other what depends on where work is done and files are.
test-cluster-ci: cluster-environments
	$(SIDE_BY_SIDE) cluster-some-faults cluster-some-conformance

SIDE_BY_SIDE = $(MAKE) --no-print-directory --jobs=2 --keep-going --output-sync=target

cluster-faults cluster-some-faults cluster-conformance cluster-some-conformance:
	$(IN_CLUSTER) $(@:cluster-%=%)

# Packed anew each time: the nodes must have this state of fruits.
cluster-environments: $(VENV)/dev.stamp $(DASK_YARN)/stamp
	mkdir -p $(CLUSTER)
	$(VENV)/bin/python tests/real/hadoop/jars.py $(CLUSTER)/jars
	$(VENV)/bin/python -m fruits pack $(NODES).tar.gz
	rm -rf $(NODES) && mkdir $(NODES) && tar -xzf $(NODES).tar.gz -C $(NODES)
	$(DASK_YARN)/bin/python -m fruits pack --backend dask $(DASK_YARN).tar.gz

check: $(VENV)/dev.stamp
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(MAKE) --no-print-directory audit

# Fails on a known vulnerability in what a run installs. Where the database cannot be reached it says so, and goes on.
audit: $(VENV)/dev.stamp
	$(VENV)/bin/python requirements/audit.py requirements/run.lock

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "fruits needs Python 3.11, $(PYTHON) is another: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The tests' environment is that of a run and more, at the same versions: where it is there, a run needs nothing else.
$(VENV)/run.stamp: requirements/run.lock pyproject.toml | $(VENV)/bin/python
	$(LOCKED) requirements/build.lock
	$(LOCKED) requirements/run.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.lock $(VENV)/run.stamp
	$(LOCKED) requirements/dev.lock
	@touch $@

$(DASK_YARN)/stamp: requirements/dask-yarn.lock requirements/build.lock pyproject.toml
	$(PYTHON) -m venv $(DASK_YARN)
	$(DASK_YARN)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.lock
	$(DASK_YARN)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-build-isolation -r requirements/dask-yarn.lock
	$(DASK_YARN)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# Resolves the locks again (needs uv): for Linux on x86-64 and arm64, with hashes, and each a part of the next.
UV := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url \
	--custom-compile-command "make lock"
lock:
	$(UV) pyproject.toml --extra build --extra dev -o requirements/dev.lock $(UPGRADE)
	$(UV) pyproject.toml --extra build --extra dask --extra spark --extra yarn --extra bootstrap -c requirements/dev.lock -o requirements/run.lock
	$(UV) pyproject.toml --extra build --extra node -c requirements/dev.lock -o requirements/node.lock
	$(UV) pyproject.toml --extra build --extra node --extra keras -c requirements/dev.lock -o requirements/node-keras.lock
	$(UV) requirements/dask-yarn.in -o requirements/dask-yarn.lock $(UPGRADE)
	grep -E '^(ai-edge-litert|numpy|pillow)==' requirements/dev.lock | sed 's/[ ;].*//' | cat requirements/peers.in - | $(UV) - -o requirements/peers.lock $(UPGRADE)
	echo setuptools | $(UV) - -c requirements/dev.lock -o requirements/build.lock

# Which engine, on this machine and, by a model, on a cluster: ten minutes. ARGS="--quick" for a try.
benchmark: $(VENV)/dev.stamp
	$(VENV)/bin/python -m benchmarks $(ARGS)

# How fast, against other ways to the same features: an hour and a half, on a machine that does nothing else. ARGS="--quick" for a try.
benchmark-speed: $(VENV)/dev.stamp $(PEERS)/stamp
	$(VENV)/bin/python -m benchmarks speed --peers-python $(PEERS)/bin/python $(ARGS)

# What CI runs of it: without the peers, and without Keras, which takes half a minute to load each time.
benchmark-quick: $(VENV)/dev.stamp
	$(VENV)/bin/python -m benchmarks speed --quick --only features --only far --output .benchmark-quick.json $(ARGS)

$(PEERS)/stamp: requirements/peers.lock
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/peers.lock
	@touch $@

# The licences in NOTICE, of what is installed here.
notice: $(VENV)/dev.stamp
	$(VENV)/bin/python requirements/licences.py requirements/run.lock NOTICE

clean:
	rm -rf $(VENV) $(CLUSTER) $(PEERS) results
