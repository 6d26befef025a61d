"""Mutated images: each is a row or a row with a reason.

No process dies, hangs or takes more memory than a worker may.
"""

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
    """How many mutants came out how, and the largest peak in bytes.

    `work`: commands to run side by side; the file for its progress is added to each. Fails where a
    process dies or stays at one seed, with the seed, and leaves the mutant in the folder.
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
                stderr = error.read_text(errors="replace")[-2000:]
                command = shlex.join(map(str, process.args))  # type: ignore[arg-type]
                pytest.fail(f"{why} at seed {seed}, saved as {saved}; {command}\n{stderr}")
        results = [json.loads(process.stdout.read()) for process in processes if process.stdout]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    counts = sum((Counter(result["outcomes"]) for result in results), Counter())
    return counts, max(result["peak"] for result in results)


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
    if process.returncode < 0:
        return f"ended by {signal.Signals(-process.returncode).name}"
    return f"exit code {process.returncode}"


def _shares(what: str, images: int) -> list[list[str]]:
    cuts = [images * number // PROCESSES for number in range(PROCESSES + 1)]
    return [[*FUZZ, what, str(first), str(last)] for first, last in pairwise(cuts)]


def each_has_an_outcome(what: str, images: int, folder: Path) -> None:
    """Decodes the mutants, or takes them through runs, and checks outcomes and peak memory."""
    counts, peak = outcomes(folder, _shares(what, images), {"decode": AN_IMAGE, "run": A_RUN}[what])
    print(f"{what}: {images} mutants, peak {peak / 1e6:.0f} MB: {dict(counts.most_common())}")
    assert counts.total() == images
    common = {"row", "truncated", "corrupt", "not-an-image"}
    assert set(counts) - {"empty"} == common | {"too-many-pixels"}
    # The mutants are no longer one fault for all.
    assert min(counts[name] for name in common) > images / 20
    assert peak < ANY
