"""An item of work tried a bounded number of times on its worker, so that neither engine sees a fault that may pass.

A task that raises is an engine's affair, and each has its own: Spark ends the job with everything that runs in it. So what fails comes
back as a result like others, and what it means for the run is decided once, in `failures.py`.
"""

import errno
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fruits.errors import FruitsError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Seconds before the second and the third attempt. What reads and writes S3 and HDFS has its own retries, of minutes, inside each.
PAUSES = (1.0, 4.0)

_NO_SPACE = "make room there"
_NO_RIGHT = "ask for the right to it"
# Faults of what all items share, with what to do: the next one would meet them too.
_OF_ALL = {
    errno.ENOSPC: _NO_SPACE,
    errno.EDQUOT: _NO_SPACE,
    errno.EROFS: _NO_RIGHT,
    errno.EACCES: _NO_RIGHT,
    errno.EPERM: _NO_RIGHT,
    errno.EKEYREJECTED: "renew the credentials, those of the nodes too",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Attempted(Generic[Item, Result]):
    """`result`: None where the item failed for good. `faults`: why each attempt that failed did.

    `of_all`: the fault is none of this item, and others would have it too. `advice`: what to do.
    """

    item: Item
    result: Result | None
    faults: tuple[str, ...] = ()
    of_all: bool = False
    advice: str = ""


def attempt(function: Callable[[Item], Result], item: Item) -> Attempted[Item, Result]:
    """`function(item)`, or why it could not be done. Raises `MemoryError` at once, for the engine to try on another worker."""
    faults: list[str] = []
    for pause in (*PAUSES, None):
        try:
            return Attempted(item, function(item), tuple(faults))
        except MemoryError:
            raise
        except FruitsError as failed:  # of this Python, or what it was given
            return Attempted(item, None, (*faults, failed.message), True, failed.advice)
        except Exception as fault:  # nothing is hidden: the run ends with its words
            log.debug("attempt %d failed", len(faults) + 1, exc_info=True)
            faults.append(_said(fault))
            number = getattr(fault, "errno", None)
        if pause is None:
            break
        time.sleep(pause * random.uniform(0.7, 1.3))  # noqa: S311 - workers must not come back all at once
    return Attempted(item, None, tuple(faults), number in _OF_ALL, _OF_ALL.get(number, "") if number else "")


def _said(fault: Exception) -> str:
    if isinstance(fault, OSError) and fault.strerror:
        return f"{fault.strerror}: {fault.filename}" if fault.filename else fault.strerror
    return f"{type(fault).__name__}: {fault}"
