"""The progress of a run on stderr: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeRemainingColumn

from fruits.observer import Advance

PLAIN_LINE_SECONDS = 5.0


class ProgressLines:
    """An observer that shows each stage with images done, images a second, rejected, and time left."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)

    def note(self, text: str) -> None:
        self._console.print(f"note: {text}", markup=False, soft_wrap=True)

    @contextmanager
    def stage(self, name: str, images: int) -> Iterator[Advance]:
        with self._bar(name, images) if self._console.is_terminal else self._lines(name, images) as advance:
            yield advance

    @contextmanager
    def _bar(self, name: str, images: int) -> Iterator[Advance]:
        columns: tuple[ProgressColumn, ...] = (
            TextColumn("{task.description:<9}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]} images/s, {task.fields[rejected]} rejected,"),
            TimeRemainingColumn(),
            TextColumn("left"),
        )
        if not images:  # opening the session: nothing to count
            columns = (columns[0], BarColumn())
        started = time.monotonic()
        with Progress(*columns, console=self._console, transient=True) as progress:
            # Without a total the bar moves to and fro: a fit tells nothing of how far it is.
            task = progress.add_task(name, total=None, rate="-", rejected=0)

            def advance(done: int, rejected: int) -> None:
                state = progress.tasks[TaskID(task)]
                rate = (state.completed + done) / max(time.monotonic() - started, 1e-3)
                progress.update(task, total=images, advance=done, rate=f"{rate:.0f}", rejected=state.fields["rejected"] + rejected)

            yield advance
        self._ended(name, images, time.monotonic() - started)

    @contextmanager
    def _lines(self, name: str, images: int) -> Iterator[Advance]:
        started = shown = time.monotonic()
        total = rejected_total = 0
        print(f"{name}: {images} images" if images else f"{name} ...", file=sys.stderr, flush=True)

        def advance(done: int, rejected: int) -> None:
            nonlocal shown, total, rejected_total
            total, rejected_total = total + done, rejected_total + rejected
            now = time.monotonic()
            if now - shown >= PLAIN_LINE_SECONDS or total == done:  # the first sign of life at once
                shown, rate = now, total / max(now - started, 1e-3)
                left = (images - total) / max(rate, 1e-3)
                line = f"{name}: {total} of {images} images, {rate:.0f} images/s, {rejected_total} rejected, {left:.0f} s left"
                print(line, file=sys.stderr, flush=True)

        yield advance
        self._ended(name, images, time.monotonic() - started)

    def _ended(self, name: str, images: int, seconds: float) -> None:
        rate = f", {images / seconds:.0f} images/s" if images and seconds else ""
        self._console.print(f"{name:<9} {seconds:6.1f} s{rate}", markup=False)
