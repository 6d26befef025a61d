"""The engines under test, and what every test needs: images, a command line, results read back without `fruits`.

`--place hdfs` and `--place s3` run the same conformance tests on YARN, inside `tests/real/hadoop/run.py`; `cluster/mirror.py` says how.
`--launcher dask-yarn` does so with dask-yarn, in the environment of `requirements/dask-yarn.lock`.
"""

import gc
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image
from typed import Type, command_line

from fruits import Job, pipeline, run
from fruits.backend import REGISTRY, Entry
from fruits.cli import main
from fruits.job import LAUNCHERS
from fruits.model import GRAPH
from fruits.observer import Nobody
from fruits.report import RunReport

if TYPE_CHECKING:
    from cluster.mirror import Mirror

DATA = Path(__file__).parent / "data"
EMR = DATA / "emr" / "images"
ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "fruits" / "sample" / "Test"
ENGINES = ("inprocess", "dask", "spark")
PLACES = ("local", "hdfs", "s3")


def without(*capabilities: str) -> tuple[str, ...]:
    """Runs the command after it without these capabilities of root. Empty for others: they have none."""
    dropped = ",".join(f"-{capability}" for capability in capabilities)
    return () if os.geteuid() else ("setpriv", "--bounding-set", dropped, "--inh-caps", dropped)


# No permission stops root: without these two it is a user like others.
WITHOUT_OVERRIDE = without("dac_override", "dac_read_search")

REGISTRY["inprocess"] = Entry("inprocess:InProcessBackend", "dev", "inprocess")


@dataclass(frozen=True)
class Engine:
    """One of the engines, with a session that stays open over all tests.

    Input, output and projection of a job are local paths. A place elsewhere is made like them before a job, and the local output like the
    place's after it.
    """

    name: str
    session: Any
    mirror: "Mirror | None" = None

    @property
    def place(self) -> str:
        return self.mirror.place.name if self.mirror else "local"

    def url(self, path: str | Path) -> str:
        """What the engine calls this path of ours."""
        return self.mirror.url(path) if self.mirror else str(path)

    def run(self, **job: Any) -> RunReport:
        if self.mirror is None:
            return run(Job(**job), session=self.session)
        try:
            return run(Job(**self.mirror.job({"input": SAMPLE, **job})), session=self.session)
        finally:
            self.mirror.down(job["output"])

    def prepare(self, **job: Any) -> pipeline.Prepared:
        """The first half of a run: what happens to the files after it, the listing has not seen."""
        return pipeline.prepare(Job(**(self.mirror.job(job) if self.mirror else job)), session=self.session)

    def execute(self, prepared: pipeline.Prepared) -> RunReport:
        """The other half."""
        if self.mirror is None:
            return pipeline.execute(prepared, Nobody())
        self.mirror.up(self.mirror.local(prepared.job.input))
        try:
            return pipeline.execute(prepared, Nobody())
        finally:
            self.mirror.down(self.mirror.local(prepared.job.output))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--place", choices=PLACES, default="local", help="where images and results are; on YARN unless local")
    parser.addoption("--launcher", choices=LAUNCHERS, default=LAUNCHERS[0], help="what starts Dask's workers on YARN")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes a while on a cluster; left out of what CI runs there")
    config.addinivalue_line("markers", "short: what is run with each supported set of Python, Spark and packages")
    config.addinivalue_line("markers", "local(why, place=None): cannot be run on YARN, or not with this place")
    config.addinivalue_line("markers", "root(why): left out where the rights of root are lacking")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out, of what -k and -m chose, the tests that say why they cannot be run here.

    On YARN, refuses a test that neither says so nor takes an engine.
    """
    place, launcher = config.getoption("place"), config.getoption("launcher")
    left_out: dict[pytest.Item, str] = {}
    undeclared = []
    for item in items:
        if place != "local" and (why := _why_not_on_yarn(item, place, launcher)):
            left_out[item] = f"not on yarn with {place}: {why}"
        elif place != "local" and "engine" not in getattr(item, "fixturenames", ()):
            undeclared.append(item.nodeid)
        elif marker := item.get_closest_marker("root"):
            item.user_properties.append(("root", True))
            if not has_rights_of_root():
                left_out[item] = f"needs root: {marker.args[0]}"
    if undeclared:
        need = f"--place {place} is for tests of an engine; these need the marker local:"
        raise pytest.UsageError("\n".join([need, *undeclared]))
    config.stash[LEFT_OUT] = Counter(left_out.values())
    if left_out:
        config.hook.pytest_deselected(items=list(left_out))
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish(session: pytest.Session) -> None:  # noqa: ARG001
    """Keeps the garbage collector off what was imported, which took a fifth of the time of the EMR tests."""
    gc.collect()
    gc.freeze()


LEFT_OUT = pytest.StashKey[Counter[str]]()


@cache
def has_rights_of_root() -> bool:
    """Whether this is root, who may mount and make namespaces: in a container root often may not."""
    if os.geteuid() or shutil.which("unshare") is None:
        return False
    mount = ("mount", "-t", "tmpfs", "tmpfs", tempfile.gettempdir())  # in a namespace of its own
    probe = ("unshare", "--mount", "--pid", "--fork", *mount)
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Under pytest-xdist, a process that runs tests tells the one that prints the summary."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["left_out"] = dict(session.config.stash.get(LEFT_OUT, {}))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Takes it from one of them: all leave out the same. One that crashed tells nothing."""
    if (output := getattr(node, "workeroutput", None)) is not None:
        node.config.stash[LEFT_OUT] = Counter(output["left_out"])


def _why_not_on_yarn(item: pytest.Item, place: str, launcher: str) -> str | None:
    for marker in item.iter_markers("local"):
        if marker.kwargs.get("place", place) == place:
            return str(marker.args[0])
    if "inprocess" in _parameters(item.nodeid):
        return "the engine inprocess has no cluster"
    spark = "spark" in _parameters(item.nodeid) or "spark" in getattr(item, "fixturenames", ())
    return "there is no Spark beside dask-yarn" if launcher == "dask-yarn" and spark else None


@pytest.fixture(scope="session")
def mirror(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Mirror | None]":
    """What carries files to and from a place that is not local."""
    name = request.config.getoption("place")
    if name == "local":
        yield None
        return
    from cluster.mirror import Mirror
    from cluster.places import place
    from hadoop.cluster import Cluster

    with place(name, Cluster.from_environment(), tmp_path_factory.mktemp("place")) as there:
        yield Mirror(there)


@pytest.fixture(scope="session")
def inprocess() -> Any:
    from inprocess import Here

    return Here()


@pytest.fixture(scope="session")
def dask(mirror: "Mirror | None", request: pytest.FixtureRequest) -> Iterator[Any]:
    if mirror:
        from cluster.sessions import session

        with session("dask", mirror.place, request.config.getoption("launcher")) as client:
            yield client
        return
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="session")
def spark(mirror: "Mirror | None") -> Iterator[Any]:
    if mirror:
        from cluster.sessions import session

        with session("spark", mirror.place, "fruits") as opened:
            yield opened
        return
    from pyspark.sql import SparkSession

    os.environ.update({"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1", **spark_java()})
    settings = {
        "spark.ui.enabled": "false",
        "spark.driver.memory": "2g",
        "spark.ui.showConsoleProgress": "false",
        # With the optimizing compiler, which `make test` leaves out: this JVM lives long, and fits PCAs.
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=4",
    }
    local = SparkSession.builder.master("local[2,4]").config(map=settings).getOrCreate()
    local.sparkContext.setLogLevel("OFF")
    yield local
    local.stop()


def spark_java() -> dict[str, str]:
    """The variables with which a Spark that a test starts by itself finds its Java."""
    import pyspark

    from backends.java import java_environment
    from backends.spark_versions import spark_version

    return java_environment(spark_version(pyspark.__version__).java)


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, mirror: "Mirror | None") -> Engine:
    return Engine(request.param, request.getfixturevalue(request.param), mirror)


@pytest.fixture(params=[name for name in ENGINES if name != "inprocess"])
def backend(request: pytest.FixtureRequest) -> str:
    """The name of a backend that the command line has."""
    return str(request.param)


@pytest.fixture(scope="session")
def typed() -> Iterator[Type]:
    """The command line, for what starts no engine."""
    with command_line() as answering:
        yield answering


@pytest.fixture(scope="module")
def s3_typed() -> Iterator[Type]:
    """The command line of a module with an S3 server: the clients of a process keep to their first.

    Its second run on Spark has the JVM of the first.
    """
    with command_line() as answering:
        yield answering


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """14 photos in 7 folders, copied so that a test may change them."""
    folder = tmp_path / "images"
    for label in sorted(SAMPLE.iterdir())[:7]:
        (folder / label.name).mkdir(parents=True)
        for photo in sorted(label.glob("*.jpg"))[:2]:
            shutil.copy(photo, folder / label.name)
    return folder


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an S3 server of the module's own."""
    import s3

    with s3.moto_server(tmp_path_factory.mktemp("moto") / "log") as address:
        yield address


@pytest.fixture
def s3_environment(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """With which a command reaches that server and no other; nothing of AWS is left in this process's environment."""
    import s3

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    return s3.environment(s3_server, tmp_path, s3.KEYS)


@pytest.fixture(scope="session")
def sample_results(inprocess: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the bundled sample, to be looked at and not altered."""
    folder = tmp_path_factory.mktemp("sample") / "results"
    Engine("inprocess", inprocess).run(output=folder)
    return folder


def cli(*arguments: str, cwd: Path | None = None, under: Sequence[str] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `python -m fruits` as a user would; `under` is a command before it."""
    command = [*under, sys.executable, "-m", "fruits", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment}, timeout=240, check=False)


def without_bfloat16(folder: Path) -> tuple[str, ...]:
    """Runs the command after it where /proc/cpuinfo tells of a processor without AVX512-BF16 and AMX; needs root."""
    fake = folder / ".cpuinfo"
    fake.write_text(re.sub(r"\b(avx512_bf16|amx_\w+)\b", "", Path("/proc/cpuinfo").read_text()))
    return ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" /proc/cpuinfo && exec "$@"', str(fake))


def asked(*arguments: Any) -> subprocess.CompletedProcess[str]:
    """What `python -m fruits` answers, in this process: for what needs no start of its own."""
    command = list(map(str, arguments))
    answer = CliRunner().invoke(main, command)
    return subprocess.CompletedProcess(command, answer.exit_code, answer.stdout, answer.stderr)


def table(results: Path, part: str) -> pd.DataFrame:
    """All rows of features or pca, sorted by path, read by pyarrow alone."""
    files = sorted((results / part).glob("*.parquet"))
    frames = [pq.read_table(file, partitioning=None).to_pandas() for file in files]
    return pd.concat(frames).sort_values("path", ignore_index=True)


def vectors(results: Path, part: str) -> np.ndarray:
    return np.stack(table(results, part)["features" if part == "features" else "pca_features"])


def rejected(results: Path) -> pd.DataFrame:
    return pq.read_table(results / "rejected.parquet").to_pandas().sort_values("path", ignore_index=True)


def report(results: Path) -> dict[str, Any]:
    return dict(json.loads((results / "report.json").read_text()))


def expected_features(paths: list[str]) -> np.ndarray:
    """LiteRT on the shipped graph, one image a call, written here without the core."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(GRAPH.path), num_threads=1)
    interpreter.allocate_tensors()
    rows = []
    for path in paths:
        pixels = np.asarray(Image.open(path).convert("RGB").resize((224, 224)))
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0])
    return np.stack(rows)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """How many tests passed on each engine, and of those for root: CI sees that none is missing."""
    tests = terminalreporter.stats.get("passed", [])
    passed = Counter(engine for test in tests for engine in ENGINES if engine in _parameters(test.nodeid))
    place = config.getoption("place")
    launcher = config.getoption("launcher")
    for engine in ENGINES if place == "local" else ENGINES[1:]:
        where = "" if place == "local" else f" on yarn with {place}"
        by = f" by {launcher}" if launcher != LAUNCHERS[0] else ""
        terminalreporter.write_line(f"engine {engine}{where}{by}: {passed[engine]} tests passed")
    if place == "local":
        of_root = sum("root" in dict(test.user_properties) for test in tests)
        terminalreporter.write_line(f"marked root: {of_root} tests passed")
    for why, count in config.stash.get(LEFT_OUT, Counter()).most_common():
        terminalreporter.write_line(f"left out: {count} tests: {why}")


def _parameters(nodeid: str) -> list[str]:
    return nodeid.rpartition("[")[2].rstrip("]").split("-")
