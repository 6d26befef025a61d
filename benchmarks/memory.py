"""Memory of a run's processes while it goes on, as each one's share (PSS: what is shared is counted once)."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

SECONDS = 0.5


def is_worker(process: psutil.Process) -> bool:
    """Whether it is a Python worker of Dask or of Spark; raises `psutil.Error` when it has ended."""
    command = " ".join(process.cmdline())
    return "multiprocessing.spawn" in command or "pyspark.daemon" in command


def kind_of(process: psutil.Process, driver: int) -> str | None:
    """Which part of a run a process is; None for what only starts others."""
    if process.pid == driver:
        return "driver"
    if process.name() == "java":
        return "JVM"
    return "worker" if is_worker(process) else None


def sampled(driver: int) -> dict[str, int]:
    """Bytes of the largest process of each kind, of a driver and what it started."""
    largest: dict[str, int] = {}
    for process in [psutil.Process(driver), *psutil.Process(driver).children(recursive=True)]:
        try:
            if kind := kind_of(process, driver):
                largest[kind] = max(largest.get(kind, 0), process.memory_full_info().pss)
        except psutil.Error:  # it ended meanwhile
            continue
    return largest


@contextmanager
def peaks() -> Iterator[dict[str, int]]:
    """The largest that `sampled` saw of this process and what it starts, during the block."""
    peak: dict[str, int] = {}
    ended = threading.Event()

    def watch() -> None:
        while True:
            for kind, size in sampled(os.getpid()).items():
                peak[kind] = max(peak.get(kind, 0), size)
            if ended.wait(SECONDS):
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()
