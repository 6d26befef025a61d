"""Mutated images: each is a row or a row with a reason, and no process dies, hangs or takes more memory than a worker may."""

import json
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

import fuzz

PROCESSES = 2
AN_IMAGE, A_RUN = 60, 240  # seconds at one mark: an image takes a millisecond
ANY = 600_000_000  # bytes of a worker, whatever it is given: benchmarks/README.md
FUZZ = (sys.executable, fuzz.__file__)


def outcomes(folder: Path, work: Sequence[Sequence[str]], seconds: float) -> tuple[Counter[str], int]:
    """What came of it all, and the largest peak in bytes. `work`: commands, side by side, which a file to tell their progress is added to.

    Fails where a process dies or stays at one seed, with the seed, and the mutant left in the folder.
    """
    marks = [folder / f"progress-{number}" for number in range(len(work))]
    errors = [folder / f"said-{number}" for number in range(len(work))]
    processes = [
        subprocess.Popen([*command, mark], stdout=subprocess.PIPE, stderr=error.open("wb"), text=True)
        for command, mark, error in zip(work, marks, errors, strict=True)
    ]
    try:
        for process, mark, error in zip(processes, marks, errors, strict=True):
            why = _end(process, mark, seconds)
            if why:
                seed = int(mark.read_text() or -1)
                saved = folder / f"mutant-{seed}"
                saved.write_bytes(fuzz.mutant(seed))
                said = error.read_text(errors="replace")[-2000:]
                pytest.fail(f"{why} at seed {seed}, saved as {saved}; {shlex.join(map(str, process.args))}\n{said}")  # type: ignore[arg-type]
        results = [json.loads(process.stdout.read()) for process in processes if process.stdout]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return sum((Counter(result["outcomes"]) for result in results), Counter()), max(result["peak"] for result in results)


def _end(process: "subprocess.Popen[str]", mark: Path, seconds: float) -> str | None:
    """Waits for the process; returns what is wrong with it, if anything is."""
    seen, since = "", time.monotonic()
    while process.poll() is None:
        time.sleep(0.05)
        now = mark.read_text() if mark.exists() else ""
        if now != seen:
            seen, since = now, time.monotonic()
        elif time.monotonic() - since > seconds:
            return f"hangs for {seconds} s"
    if process.returncode == 0:
        return None
    return f"ended by {signal.Signals(-process.returncode).name}" if process.returncode < 0 else f"exit code {process.returncode}"


def _shares(what: str, images: int) -> list[list[str]]:
    cuts = [images * number // PROCESSES for number in range(PROCESSES + 1)]
    return [[*FUZZ, what, str(first), str(last)] for first, last in pairwise(cuts)]


def each_has_an_outcome(what: str, images: int, folder: Path) -> None:
    """Decodes so many mutants, or takes them through runs. Fails also where a process takes more memory than a worker may."""
    found, peak = outcomes(folder, _shares(what, images), {"decode": AN_IMAGE, "run": A_RUN}[what])
    print(f"{what}: {images} mutants, peak {peak / 1e6:.0f} MB: {', '.join(f'{name} {count}' for name, count in found.most_common())}")
    assert found.total() == images
    assert set(found) == {"row", "truncated", "corrupt", "not-an-image", "too-many-pixels"} | ({"empty"} if found["empty"] else set())
    assert min(found[name] for name in ("row", "truncated", "corrupt", "not-an-image")) > images / 20  # it is no longer one fault for all
    assert peak < ANY
