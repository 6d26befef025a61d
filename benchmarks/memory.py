"""Memory of a run's processes while it goes on."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

SECONDS = 0.5


def is_worker(process: psutil.Process) -> bool:
    """Whether it is a Python worker of Dask or of Spark; raises `psutil.Error` when it has ended."""
    command = " ".join(process.cmdline())
    return "multiprocessing.spawn" in command or "pyspark.daemon" in command


@contextmanager
def largest_worker() -> Iterator[list[int]]:
    """The largest share of memory (PSS, bytes) of a Python worker below this process during the block, as the list's only item."""
    peak, ended = [0], threading.Event()

    def watch() -> None:
        while not ended.wait(SECONDS):
            for process in psutil.Process().children(recursive=True):
                try:
                    if is_worker(process):
                        peak[0] = max(peak[0], process.memory_full_info().pss)
                except psutil.Error:  # it ended meanwhile
                    continue

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        ended.set()
        thread.join()
