"""Runs of the product, and of what it is compared with: processes of their own, measured from outside."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fruits.errors import RunFailed
from fruits.storage import Folder, normalized

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
LAST_LINES = 15


class Failed(RunFailed):
    """A process that ended with another exit code than 0: its command and its last words."""


@dataclass(frozen=True)
class Ended:
    """`seconds` from start to end."""

    output: str
    seconds: float

    @property
    def result(self) -> Any:
        """The JSON in the last line of the output."""
        return json.loads(self.output.splitlines()[-1])


@dataclass(frozen=True)
class Run:
    """`report`: the run's report.json."""

    report: dict[str, Any]
    seconds: float

    def stage(self, name: str) -> float:
        return float(next(stage["seconds"] for stage in self.report["stages"] if stage["name"] == name))

    @property
    def straggling(self) -> float:
        """Seconds of the slowest worker by those of the median one."""
        seconds = sorted(worker["seconds"] for worker in self.report["workers"])
        return float(seconds[-1] / seconds[(len(seconds) - 1) // 2])


def last_words(output: str) -> str:
    """The end of what a process said."""
    return "\n".join(output.splitlines()[-LAST_LINES:])


def run(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Ended:
    """Raises `Failed`."""
    started = time.perf_counter()
    with subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
    ) as process:
        assert process.stdout
        output = process.stdout.read()
    seconds = time.perf_counter() - started
    if process.returncode:
        raise Failed(f"exit code {process.returncode} of {' '.join(map(str, command))}\n{last_words(output)}")
    return Ended(output, seconds)


def weighed(command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> tuple[Ended, int]:
    """The same, and the peak memory of the process itself in bytes (its largest resident set), without its children."""
    with tempfile.NamedTemporaryFile("r") as file:
        ended = run([sys.executable, "-S", "-E", "benchmarks/weigh.py", file.name, *command], environment)
        return ended, int(file.read())


def fruits(backend: str, images: str | Path, results: str | Path, *options: str, environment: Mapping[str, str] | None = None) -> Run:
    """A run of the product, which goes on with what is in the folder of results. Raises `Failed`."""
    command = [sys.executable, "-m", "fruits", "--backend", backend, "--input", str(images), "--output", str(results), *options]
    ended = run(command, environment)
    return Run(json.loads(Folder(normalized(str(results))).read("report.json")), ended.seconds)


def emptied(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder
