"""Engines without a network, for `Job(engine=...)`: a run with one of them takes what all other parts of it take.

`read` reads and decodes every image, and its features are zeros. `sleep:SECONDS` opens no image: it waits so long for each, as a worker
with a core of its own would compute, and its features are random. So many more workers than cores can be put to work, and what
planning, distributing, writing and committing take can be measured.

A real worker is now slower, now faster, by the images it has. Sleepers that are all alike would end their chunks at the same moment, and
wait for each other on the few cores there are to write them. So a sleeper takes up to 30 % more or less for `STRETCH` images, and what is
missing or too much in the next as many: on the whole what it was told.
"""

import re
import time
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from fruits.errors import BadArgument

if TYPE_CHECKING:
    from numpy.random import Generator

    from fruits.model import Features, Network, Pixels

READ, NOTHING = "read", "sleep:0"
_SLEEP = re.compile(r"sleep:(\d+(?:\.\d+)?(?:e-?\d+)?)")
MAX_SECONDS = 60.0  # for an image
STRETCH, VARIES = 1024, 0.3


def is_dummy(engine: str) -> bool:
    return engine == READ or engine.startswith("sleep:")


def dummy(engine: str, features: int) -> "Network":
    """The dummy of that name, of so many features; raises `BadArgument` where the name has no number of seconds."""
    if engine == READ:
        return Read(features)
    if not (found := _SLEEP.fullmatch(engine)) or float(found[1]) > MAX_SECONDS:
        raise BadArgument(f"there is no engine {engine!r}", f"write sleep:0.006 for 6 ms an image, at most {MAX_SECONDS:g} s")
    return Sleep(features, float(found[1]))


# numpy is imported where it is used: this module is imported by every start of the command line.
class Read:
    def __init__(self, features: int) -> None:
        self._features = features

    def __call__(self, pixels: "Pixels") -> "Features":
        import numpy as np

        return np.zeros((len(pixels), self._features), np.float32)


class Sleep:
    def __init__(self, features: int, seconds: float) -> None:
        self._features, self._seconds = features, seconds
        self._stretches = self._varied()
        self._now, self._left = seconds, 0

    def _varied(self) -> Iterator[float]:
        """Seconds of an image, stretch by stretch: two of them have the mean that was asked."""
        while True:
            off = self._random.uniform(-VARIES, VARIES)
            yield self._seconds * (1 + off)
            yield self._seconds * (1 - off)

    @cached_property
    def _random(self) -> "Generator":
        import numpy as np

        return np.random.default_rng()

    def __call__(self, pixels: "Pixels") -> "Features":
        if self._left <= 0:
            self._now, self._left = next(self._stretches), STRETCH
        self._left -= len(pixels)
        time.sleep(len(pixels) * self._now)
        return self._random.standard_normal((len(pixels), self._features), "float32")
