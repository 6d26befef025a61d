"""The command line, started as a user of the cluster would, and what came of it, read back without `fruits`."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cluster.places import Place
from conftest import SAMPLE, expected_features
from hadoop.cluster import Cluster

COMMAND = (sys.executable, "-m", "fruits")
SECONDS = 240


class Driver:
    """A run of `python -m fruits` that goes on while the test does something."""

    def __init__(self, folder: Path, *arguments: object, command: Sequence[str] = COMMAND, **environment: str) -> None:
        self._said = folder / f"said-{time.monotonic_ns()}"
        with self._said.open("wb") as file:
            self.process = subprocess.Popen(
                [*command, *map(str, arguments)],
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=folder,
                env={**os.environ, **environment},
                start_new_session=True,  # a terminal's Ctrl-C reaches the whole group: see `interrupt`
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    @property
    def said(self) -> str:
        return self._said.read_text(errors="replace")

    def wait(self) -> int:
        return self.process.wait(SECONDS)

    def wait_until_featurizing(self) -> None:
        """Returns when some images are done and others are not."""
        until(lambda: re.search(r"featurize: \d+ of \d+", self.said) or self.process.poll() is not None, "no chunk was done")
        assert self.process.poll() is None, self.said

    def interrupt(self) -> None:
        os.killpg(self.process.pid, signal.SIGINT)


def fruits(folder: Path, *arguments: object, **environment: str) -> tuple[int, str]:
    """Exit code and all that was said."""
    with Driver(folder, *arguments, **environment) as driver:
        return driver.wait(), driver.said


def until(condition: Callable[[], object], otherwise: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{otherwise} within {seconds:g} s"
        time.sleep(0.2)


def upload(place: Place, name: str, photos: Sequence[Path]) -> str:
    """Photos with their folders, as `name` below the place's URL; returns the URL."""
    for photo in photos:
        place.put(f"/{name}/{photo.parent.name}/{photo.name}", photo.read_bytes())
    return f"{place.url}/{name}"


def report(place: Place, name: str) -> dict[str, Any]:
    return dict(json.loads(place.get(f"/{name}/report.json")))


def rows(place: Place, name: str, part: str = "features") -> pd.DataFrame:
    """All rows of the files that the report names."""
    files = [file["name"] for file in report(place, name)["files"] if file["name"].startswith(f"{part}/")]
    frames = [pq.read_table(pa.BufferReader(place.get(f"/{name}/{file}"))).to_pandas() for file in files]
    return pd.concat(frames).sort_values("path", ignore_index=True)


def assert_right(place: Place, name: str, url: str, photos: Sequence[Path]) -> None:
    """A row for each photo and no other, with the features that LiteRT gives in this process, bit for bit."""
    found = rows(place, name)
    expected = {f"{url}/{photo.parent.name}/{photo.name}": photo for photo in photos}
    assert found["path"].tolist() == sorted(expected)
    features = expected_features([str(expected[path]) for path in found["path"]])
    assert np.array_equal(np.stack(found["features"]), features)


def assert_nothing_left(cluster: Cluster, application: str) -> None:
    """The application has ended, and none of its processes runs."""
    until(lambda: state(cluster, application) in ("FINISHED", "FAILED", "KILLED"), f"{application} is still there", 60)
    mark = application.removeprefix("application_")
    until(lambda: not [p for p in cluster.processes() if mark in p.container], f"processes of {application} are left", 30)


def state(cluster: Cluster, application: str) -> str:
    return str(cluster.yarn(f"apps/{application}")["app"]["state"])


def newest(cluster: Cluster) -> str:
    return str(cluster.applications()[-1]["id"])


PHOTOS = sorted(SAMPLE.glob("*/*.jpg"))
