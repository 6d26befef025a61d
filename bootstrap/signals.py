"""How a command hears that it is to end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def as_ctrl_c(*, once: bool = False) -> Iterator[None]:
    """A terminal that is closed, and a polite kill, are as Ctrl-C: `KeyboardInterrupt`. `once`: those after the first have no effect."""
    heard = False

    def interrupt(*_: object) -> None:
        nonlocal heard
        if not (once and heard):
            heard = True
            raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
