"""Many images through both engines with an eye on memory: that of driver and workers must stay flat, and nothing may get lost.

    make soak                                     # 100,000 images, a quarter of an hour, and 0.5 GB of disk for each engine
    make soak ARGS="--images 4000 --backend dask"

The images are the bundled sample under distinct names, hard links where the disk allows. The kernel limits the memory of all processes of
a run together where it lets this one make a group for them (cgroup v1). Every second each process's share of memory (PSS: what is shared is
counted once) is taken. While it featurizes, the median of the second half must not be above that of the first by more than 10 % and 20 MB,
and no process may go above its own limit at any time. A JVM takes heap as it likes, up to what it was given: it has the limit alone. Prints
a table.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq

from benchmarks.images import SAMPLE, copies, photos
from benchmarks.memory import sampled

MB = 1_000_000
# Of one process, in MB. The JVM has its heap (1 GB at least, by memory up to 4) and what is outside of it. Workers: benchmarks/README.md.
LIMITS = {"worker": 450, "driver": 1000, "JVM": 5500}
Report = dict[str, Any]
GROWTH, ROUNDINGS = 1.10, 20 * MB


@dataclass
class Memory:
    """PSS in bytes of the largest process of a kind at each second, by stage and kind."""

    samples: dict[tuple[str, str], list[int]] = field(default_factory=lambda: defaultdict(list))

    def peak(self, kind: str) -> int:
        return max((max(values) for (_, of), values in self.samples.items() if of == kind), default=0)

    def halves(self, kind: str) -> tuple[list[int], list[int]]:
        """While it featurizes, after the first tenth, in which models are loaded."""
        values = self.samples[("featurize", kind)]
        values = values[len(values) // 10 :]
        return values[: len(values) // 2], values[len(values) // 2 :]


@contextmanager
def limited(size: int) -> Iterator[Path | None]:
    """A group, below this process's, for processes that together may have so many bytes; None where none can be made."""
    own = re.search(r"^\d+:memory:/(.*)$", Path("/proc/self/cgroup").read_text(), re.MULTILINE)
    group = Path("/sys/fs/cgroup/memory", own[1] if own else "none", f"fruits-soak-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(size))
    except OSError as refused:
        print(f"no limit by the kernel: {refused}")
        yield None
        return
    print(f"the kernel limits all processes together to {size / MB:.0f} MB", flush=True)
    try:
        yield group
        control = (group / "memory.oom_control").read_text()
        if "oom_kill 0" not in control:
            raise SystemExit(f"processes were ended at the limit: {control}")
    finally:
        group.rmdir()


def soaked(backend: str, images: Path, results: Path, group: Path | None) -> tuple[Memory, Report]:
    """Memory and the report of a run."""
    # The engines' own PCA keep all features in memory, or spill them: that by moments does not.
    run = ["--backend", backend, "--input", str(images), "--output", str(results), "--pca", "moments"]
    command = [sys.executable, "-m", "fruits", *run, "--json"]
    if group:
        command = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *command]
    memory, stage = Memory(), ["start"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        told = process.stderr

        last_words: deque[str] = deque(maxlen=5)

        def follow() -> None:
            for line in told:
                last_words.append(line)
                word = line.replace(":", " ").split(" ")[0]
                if word in ("featurize", "fit", "project", "export", "page"):
                    stage[0] = word
                if stage[0] == "featurize" and "left" not in line:
                    print(f"  {line.rstrip()}", flush=True)

        reader = threading.Thread(target=follow)
        reader.start()
        output: list[str] = []
        writer = threading.Thread(target=lambda: output.append(process.stdout.read() if process.stdout else ""))
        writer.start()
        while process.poll() is None:
            try:
                for kind, size in sampled(process.pid).items():
                    memory.samples[(stage[0], kind)].append(size)
            except psutil.NoSuchProcess:
                break
            time.sleep(1)
        reader.join()
        writer.join()
    if process.returncode:
        raise SystemExit(f"{backend}: exit code {process.returncode}\n{''.join(last_words)}")
    return memory, json.loads(output[0])


@contextmanager
def many(images: int, folder: Path | None) -> Iterator[tuple[Path, Path]]:
    """A folder with so many images, and one for results; both go in the end."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        yield copies(photos(SAMPLE), images, Path(name, "images")), Path(name)


def failures(backend: str, memory: Memory, images: Path, results: Path) -> Iterator[str]:
    expected = sorted(map(str, images.glob("*/*")))
    paths = [path for file in (results / "features").iterdir() for path in pq.read_table(file, columns=["path"])["path"].to_pylist()]
    if sorted(paths) != expected:
        yield f"{backend}: {len(paths)} rows, {len(set(paths))} paths, of {len(expected)} images"
    valid = subprocess.run([sys.executable, "-m", "fruits", "validate", str(results)], capture_output=True, text=True, check=False)
    if valid.returncode:
        yield f"{backend}: {valid.stderr}"
    for kind in ("driver", "worker", *(["JVM"] if backend == "spark" else [])):
        first, second = memory.halves(kind)
        if not first:
            yield f"{backend}: no {kind} was seen while it featurized"
        elif kind != "JVM" and statistics.median(second) > GROWTH * statistics.median(first) + ROUNDINGS:
            yield f"{backend}: the memory of the {kind} grew"
        if memory.peak(kind) > LIMITS[kind] * MB:
            yield f"{backend}: {memory.peak(kind) / MB:.0f} MB of a {kind}, the limit is {LIMITS[kind]}"


def lines(backend: str, memory: Memory, report: Report) -> Iterator[str]:
    """Of the table, one for each kind of process."""
    seconds = next(stage["seconds"] for stage in report["stages"] if stage["name"] == "featurize")
    rate = report["images"]["found"] / seconds
    for kind in LIMITS:
        if memory.peak(kind):
            halves = [f"{statistics.median(half) / MB:.0f} / {max(half) / MB:.0f}" if half else "-" for half in memory.halves(kind)]
            yield f"| {backend} | {rate:.0f} | {kind} | {' | '.join(halves)} | {memory.peak(kind) / MB:.0f} |"


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--images", type=int, default=100_000)
    arguments.add_argument("--backend", choices=["dask", "spark"], action="append")
    arguments.add_argument("--folder", type=Path, help="on which disk; that for temporary files by default")
    asked = arguments.parse_args()
    table: list[str] = []
    wrong: list[str] = []
    with many(asked.images, asked.folder) as (images, folder):
        for backend in asked.backend or ["dask", "spark"]:
            workers = (os.cpu_count() or 1) + 1  # and what starts them
            whole = LIMITS["driver"] + LIMITS["worker"] * workers + (LIMITS["JVM"] if backend == "spark" else 0)
            with limited(whole * MB) as group:
                memory, report = soaked(backend, images, folder / backend, group)
            table += lines(backend, memory, report)
            wrong += failures(backend, memory, images, folder / backend)
            shutil.rmtree(folder / backend)
    machine = f"{os.cpu_count()} cores ({platform.machine()}), {psutil.virtual_memory().total / 2**30:.0f} GB"
    print(f"\n{asked.images} images, {datetime.now().astimezone():%Y-%m-%d}, {machine}")
    print("MB of the largest process of a kind, median / peak while it featurizes, and the peak of the whole run:\n")
    print("| backend | images/s | process | first half | second half | whole run |\n|---|---|---|---|---|---|")
    print("\n".join(table))
    raise SystemExit("\n".join(wrong) or 0)


if __name__ == "__main__":
    main()
