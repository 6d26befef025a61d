"""What items that failed for good mean: the run goes on and fails at its end, or ends at once where the others would fail too."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from fruits.attempts import Attempted, attempt
from fruits.backend import Backend, GaveUp
from fruits.errors import RunFailed

Item = TypeVar("Item")
Result = TypeVar("Result")


def completed(
    backend: Backend,
    function: Callable[[Item], Result],
    items: Sequence[Item],
    named: Callable[[Item], str],
    note: Callable[[str], None],
) -> Iterator[tuple[Item, Result]]:
    """Yields each item with its result, in the order in which they end, and raises `RunFailed` when some had none.

    That is `SomeFailed` after all others have ended; or at once after a fault of all, and where so many failed in a row that each worker
    had two and none was done between them. `named`: the item in words. `note` is told what only succeeded at a later attempt.
    """
    tally = _Tally(named, len(items), max(4, 2 * backend.workers))
    for outcome in backend.map(partial(attempt, function), items):
        if isinstance(outcome, GaveUp):
            tally.failed(Attempted(outcome.item, None, (outcome.cause,), advice=outcome.advice))
        elif outcome.result is None:
            tally.failed(outcome)
        else:
            tally.done(outcome)
            yield outcome.item, outcome.result
    if tally.repeated:
        note(tally.words_of_repeated())
    tally.check_all_done()


class SomeFailed(RunFailed):
    """Items failed for good, and all others were done. `items`: those that failed."""

    items: list[Any]


@dataclass
class _Tally(Generic[Item]):
    named: Callable[[Item], str]
    items: int
    most_in_a_row: int
    done_items: int = 0
    in_a_row: int = 0
    failures: list[Attempted[Item, Any]] = field(default_factory=list)
    repeated: list[Attempted[Item, Any]] = field(default_factory=list)

    def done(self, outcome: Attempted[Item, Any]) -> None:
        self.done_items, self.in_a_row = self.done_items + 1, 0
        if outcome.faults:
            self.repeated.append(outcome)

    def failed(self, outcome: Attempted[Item, Any]) -> None:
        self.failures.append(outcome)
        self.in_a_row += 1
        if outcome.of_all or self.in_a_row == self.most_in_a_row:
            what_to_do = outcome.advice or "mend that"
            raise RunFailed(
                f"{self._words(outcome)}. It ended the run: {self._why(outcome)}",
                f"{what_to_do}; the same command goes on where this run stopped",
            )

    def _why(self, outcome: Attempted[Item, Any]) -> str:
        return "all others would fail too" if outcome.of_all else f"it was the last of {self.in_a_row} that failed in a row"

    def check_all_done(self) -> None:
        if self.failures:
            some_failed = SomeFailed(
                self._words(self.failures[0]),
                f"{self.failures[0].advice or 'mend that'}; all others are committed, and the same command does only what failed",
            )
            some_failed.items = [failure.item for failure in self.failures]
            raise some_failed

    def _words(self, outcome: Attempted[Item, Any]) -> str:
        times = f" {len(outcome.faults)} times" if len(outcome.faults) > 1 else ""
        counted = f"{len(self.failures)} of {self.items} chunks failed, {self.done_items} were done"
        return f"{counted}; {self.named(outcome.item)} failed{times}: {outcome.faults[-1]}"

    def words_of_repeated(self) -> str:
        first = self.repeated[0]
        return (
            f"{len(self.repeated)} of {self.items} chunks took more than one attempt, the first of them, {self.named(first.item)}, "
            f"because of: {first.faults[0]}"
        )
