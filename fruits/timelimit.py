"""Work that may never end, with a limit."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

Result = TypeVar("Result")


class TookTooLong(Exception):
    """The work did not end within its limit."""


def within(seconds: float, work: Callable[[threading.Event], Result]) -> Result:
    """`work(stop)` in a thread of its own; raises what it raises, and `TookTooLong` when it has not ended in time.

    The thread cannot be ended from outside: `stop` is set, which the work is to look at, and one that hangs in a system call or a decoder
    is left behind. Waiting costs nothing: the thread that asked sleeps on a lock.
    """
    stop, outcome = threading.Event(), _Outcome()

    def run() -> None:
        try:
            outcome.result = work(stop)
        except BaseException as raised:  # noqa: BLE001 - raised again in the thread that waits
            outcome.raised = raised

    thread = threading.Thread(target=run, name="chunk", daemon=True)  # a process does not wait for it at its end
    thread.start()
    try:
        thread.join(seconds)
    finally:
        stop.set()
    if thread.is_alive():
        raise TookTooLong
    if outcome.raised is not None:
        raise outcome.raised
    result: Result = outcome.result
    return result


class _Outcome:
    result: Any = None
    raised: BaseException | None = None
