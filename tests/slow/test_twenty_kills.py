"""One run on each backend, killed 20 times with SIGKILL and resumed each time: nothing is lost, nothing is doubled, nothing differs."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest

from conftest import SAMPLE, cli

COPIES = 4  # of the 335 photos
CHUNK = 8
SEED = 20
SECONDS = 900  # for a run to come to the next kill, or to its end
STAGES = ("", "start", "featurize", "fit", "project", "export")
BEGUN = re.compile(rf"^({'|'.join(STAGES[1:])})(?: \.\.\.|: \d+ images)$", re.MULTILINE)


@dataclass(frozen=True)
class Kill:
    """`stage`: at which; `victim`: driver, worker, or the JVM of Spark, which is both on this machine."""

    stage: str
    victim: str


def plan(backend: str, rng: random.Random) -> list[Kill]:
    """20 kills, 12 of them while featurizing, in the order in which a run can come to them."""
    drivers = ["driver"] * 5 if backend == "dask" else ["driver"] * 3 + ["jvm"] * 2
    featurizing = [Kill("featurize", victim) for victim in [*drivers, *["worker"] * 7]]
    rng.shuffle(featurizing)
    drivers_killed = [place for place, kill in enumerate(featurizing, 1) if kill.victim != "worker"]
    for place in sorted(rng.sample(drivers_killed, 2), reverse=True):
        featurizing.insert(place, Kill("start", "driver"))  # of the driver that goes on
    after = [("fit", "worker"), ("fit", "driver"), ("project", "driver"), ("project", "worker"), ("export", "driver")]
    return [Kill("start", "driver"), *featurizing, *(Kill(*kill) for kill in after)]


class Run:
    """The command line, read line by line while it runs."""

    def __init__(self, arguments: list[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fruits", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.said = ""
        self.family: set[psutil.Process] = set()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            self.said += line

    @property
    def stage(self) -> str:
        """The one that began last."""
        return ["", *BEGUN.findall(self.said)][-1]

    def until(self, condition: Callable[[], object], what: str) -> None:
        patience = time.monotonic() + SECONDS
        while not condition():
            assert self.process.poll() is None, f"the run ended before {what}:\n{self.said}"
            assert time.monotonic() < patience, f"not {what} in {SECONDS} s:\n{self.said}"
            time.sleep(0.002)

    def victims(self, kind: str) -> list[psutil.Process]:
        """The driver, the JVM, or the processes in which workers are; known ones are remembered, to see that all end."""
        found = []
        for process in (driver := psutil.Process(self.process.pid)).children(recursive=True):
            try:
                command, parent = " ".join(process.cmdline()), process.parent()
                self.family.add(process)
                of_dask = "multiprocessing.spawn" in command
                of_spark = parent is not None and "pyspark.daemon" in command and "pyspark.daemon" in " ".join(parent.cmdline())
                if process.name() == "java" if kind == "jvm" else of_dask or of_spark:
                    found.append(process)
            except psutil.Error:  # it ended meanwhile
                continue
        return [driver] if kind == "driver" else found

    def wait(self) -> int:
        code = self.process.wait(SECONDS)
        self._reader.join()
        patience = time.monotonic() + 30
        while left := [process for process in self.family if alive(process)]:
            assert time.monotonic() < patience, f"left behind by a run that ended: {left}"
            time.sleep(0.05)
        return code

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def committed(results: Path) -> int:
    """Rows, featurized and rejected, that markers tell of."""
    rows = 0
    for marker in (results / "_fruits" / "markers").glob("*.json"):
        done = json.loads(marker.read_text())["done"]
        rows += done["featurized"] + done["rejected"]
    return rows


def chunks(results: Path) -> int:
    return len(list((results / "_fruits" / "markers").glob("*.json")))


def features(results: Path) -> dict[str, bytes]:
    rows: dict[str, bytes] = {}
    for file in (results / "features").glob("*.parquet"):
        table = pq.read_table(file, partitioning=None).to_pydict()
        for path, vector in zip(table["path"], table["features"], strict=True):
            assert path not in rows, f"{path} is there twice"
            rows[path] = np.asarray(vector, np.float32).tobytes()
    return rows


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for photo in SAMPLE.glob("*/*.jpg"):
        label = folder / photo.parent.name
        label.mkdir(exist_ok=True)
        for copy in range(COPIES):
            shutil.copy(photo, label / f"{copy}_{photo.name}")
    (folder / "empty.jpg").touch()
    (folder / "text.jpg").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def undisturbed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The features of a run that nobody disturbs, of one engine for both: the same bits, as the conformance suite shows."""
    results = tmp_path_factory.mktemp("undisturbed") / "r"
    run = Run(["--input", str(photos), "--features-only", "--output", str(results)])
    assert run.wait() == 0, run.said
    return features(results)


def wait_for(kill: Kill, run: Run, results: Path, rng: random.Random) -> None:
    """Returns at the moment of the kill."""
    run.until(lambda: STAGES.index(run.stage) >= STAGES.index(kill.stage), f"in the stage {kill.stage}")
    if kill.stage == "featurize":
        least = chunks(results) + rng.randint(2, 9)
        run.until(lambda: chunks(results) >= least, f"{least} chunks were committed")
    else:
        time.sleep(rng.uniform(0, {"start": 0.3, "fit": 0.8, "project": 0.02, "export": 0.02}[kill.stage]))
    run.until(lambda: run.victims(kill.victim), f"there was a {kill.victim}")


def struck(kill: Kill, run: Run, rng: random.Random) -> None:
    victim = rng.choice(run.victims(kill.victim))
    victim.send_signal(signal.SIGKILL)
    if kill.victim == "worker":
        run.until(lambda: not alive(victim), "the worker had ended")
        return
    code = run.wait()
    if kill.victim == "driver":
        assert code == -signal.SIGKILL
    else:
        assert code == 1
        assert "error: Spark's JVM has ended" in run.said


@pytest.mark.timeout(3600)
def test_a_run_that_is_killed_twenty_times(backend: str, photos: Path, undisturbed: dict[str, bytes], tmp_path: Path) -> None:
    rng = random.Random(SEED)  # noqa: S311
    arguments = ["--backend", backend, "--input", str(photos), "--components", "50", "--chunk-size", str(CHUNK)]
    results = tmp_path / "killed"
    run: Run | None = None
    stages: Counter[str] = Counter()
    try:
        for number, kill in enumerate(plan(backend, rng), 1):
            run = run or Run([*arguments, "--output", str(results)])
            wait_for(kill, run, results, rng)
            struck(kill, run, rng)
            stages[run.stage] += 1
            print(f"{backend}: kill {number:2}: {kill.victim:6} in {run.stage:9}, {committed(results):4} rows committed", flush=True)
            if kill.victim != "worker":
                run = None
        run = run or Run([*arguments, "--output", str(results)])
        assert run.wait() == 0, run.said
    finally:
        if run:
            run.end()
    print(f"{backend}: {dict(stages)}")
    assert stages.total() == 20
    assert stages["featurize"] >= 12
    assert all(stages[stage] for stage in STAGES[1:])
    assert len(undisturbed) == COPIES * 335
    assert features(results) == undisturbed
    assert len(pq.read_table(results / "rejected.parquet")) == 2
    valid = cli("validate", results)
    assert valid.returncode == 0, valid.stderr
    assert not list(results.rglob("*.tmp"))
