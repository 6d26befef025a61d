"""The engines under test, and what every test needs: images, a command line, results read back without `fruits`."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))  # for inprocess.py

from fruits import Job, run
from fruits.backend import REGISTRY, Entry
from fruits.model import GRAPH
from fruits.report import RunReport

DATA = Path(__file__).parent / "data"
EMR = DATA / "emr" / "images"
SAMPLE = Path(__file__).parents[1] / "fruits" / "sample" / "Test"
ENGINES = ("inprocess", "dask", "spark")

# CI is root, whom no permission stops: without these two capabilities root is a user like others.
WITHOUT_OVERRIDE = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-dac_override,-dac_read_search")

REGISTRY["inprocess"] = Entry("inprocess:InProcessBackend", "dev", "inprocess")


@dataclass(frozen=True)
class Engine:
    """One of the engines, with a session that stays open over all tests."""

    name: str
    session: Any

    def run(self, **job: Any) -> RunReport:
        return run(Job(**job), session=self.session)


@pytest.fixture(scope="session")
def inprocess() -> Any:
    from inprocess import Here

    return Here()


@pytest.fixture(scope="session")
def dask() -> Iterator[Any]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="session")
def spark() -> Iterator[Any]:
    from pyspark.sql import SparkSession

    from backends.java import java_home

    os.environ.update({"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"})
    if home := java_home():
        os.environ["JAVA_HOME"] = home
    settings = {"spark.ui.enabled": "false", "spark.driver.memory": "2g", "spark.ui.showConsoleProgress": "false"}
    session = SparkSession.builder.master("local[2,4]").config(map=settings).getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    return Engine(request.param, request.getfixturevalue(request.param))


@pytest.fixture(params=[name for name in ENGINES if name != "inprocess"])
def backend(request: pytest.FixtureRequest) -> str:
    """The name of a backend that the command line has."""
    return str(request.param)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """14 photos in 7 folders, copied so that a test may change them."""
    folder = tmp_path / "images"
    for label in sorted(SAMPLE.iterdir())[:7]:
        (folder / label.name).mkdir(parents=True)
        for photo in sorted(label.glob("*.jpg"))[:2]:
            shutil.copy(photo, folder / label.name)
    return folder


def cli(*arguments: str, cwd: Path | None = None, under: Sequence[str] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `python -m fruits` as a user would; `under` is a command before it."""
    command = [*under, sys.executable, "-m", "fruits", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment}, timeout=240, check=False)


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


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many tests passed on each engine: CI wants to see that none was left out."""
    passed = Counter(
        engine for test in terminalreporter.stats.get("passed", []) for engine in ENGINES if engine in _parameters(test.nodeid)
    )
    for engine in ENGINES:
        terminalreporter.write_line(f"engine {engine}: {passed[engine]} tests passed")


def _parameters(nodeid: str) -> list[str]:
    return nodeid.rpartition("[")[2].rstrip("]").split("-")
