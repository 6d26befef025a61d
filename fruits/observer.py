"""Who watches a run: the command line with its progress lines, or nobody."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int, int], None]  # so many images more are done, of which so many were rejected


class Observer(Protocol):
    def note(self, text: str) -> None:
        """Something that the user should know."""

    def stage(self, name: str, images: int) -> AbstractContextManager[Advance]:
        """A stage over so many images begins; the block ends with it."""


class Nobody:
    def note(self, text: str) -> None:
        pass

    @contextmanager
    def stage(self, name: str, images: int) -> Iterator[Advance]:  # noqa: ARG002
        yield lambda _done, _rejected: None
