"""The progress of a transfer on standard error: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

PLAIN_LINE_SECONDS = 5.0


class Advance(Protocol):
    """Both are called from any thread."""

    def bytes(self, count: int) -> None:
        """So many more were sent or received; fewer than none where they are sent again."""

    def file(self) -> None:
        """One more is done."""


@contextmanager
def shown(title: str, files: int, size: int) -> Iterator[Advance]:
    """`size`: bytes in all."""
    console = Console(stderr=True, highlight=False)
    with _bar(console, title, files, size) if console.is_terminal else _lines(title, files, size) as advance:
        yield advance


@dataclass
class _Bar:
    progress: Progress
    files: int
    done: int = 0
    lock: Lock = field(default_factory=Lock)

    def bytes(self, count: int) -> None:
        self.progress.advance(self.progress.task_ids[0], count)

    def file(self) -> None:
        with self.lock:
            self.done += 1
            self.progress.update(self.progress.task_ids[0], files=f"{self.done:,} of {self.files:,} files")


@contextmanager
def _bar(console: Console, title: str, files: int, size: int) -> Iterator[Advance]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[files]},"),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task(title, total=size, files=f"0 of {files:,} files")
        yield _Bar(progress, files)


@dataclass
class _Lines:
    title: str
    files: int
    size: int
    started: float = field(default_factory=time.monotonic)
    shown: float = field(default_factory=time.monotonic)
    done: int = 0
    sent: int = 0
    lock: Lock = field(default_factory=Lock)

    def bytes(self, count: int) -> None:
        with self.lock:
            self.sent += count
            self._show()

    def file(self) -> None:
        with self.lock:
            self.done += 1
            self._show()

    def _show(self) -> None:
        now = time.monotonic()
        if now - self.shown < PLAIN_LINE_SECONDS:
            return
        self.shown = now
        rate = self.sent / (now - self.started)
        left = f", {(self.size - self.sent) / rate:.0f} s left" if rate > 0 else ""
        line = f"{self.title}: {self.done:,} of {self.files:,} files, {decimal(self.sent)} of {decimal(self.size)}{left}"
        print(line, file=sys.stderr, flush=True)


@contextmanager
def _lines(title: str, files: int, size: int) -> Iterator[Advance]:
    yield _Lines(title, files, size)
