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
from typing import TYPE_CHECKING

import numpy as np

from fruits.errors import BadArgument

if TYPE_CHECKING:
    from fruits.model import Features, Pixels

READ = "read"
_SLEEP = re.compile(r"sleep:(\d+(?:\.\d+)?(?:e-?\d+)?)")
MAX_SECONDS = 60.0  # for an image
STRETCH, VARIES = 1024, 0.3


def is_dummy(engine: str) -> bool:
    return engine == READ or engine.startswith("sleep:")


def seconds(engine: str) -> float:
    """That a dummy waits for each image; raises `BadArgument` where the name has no number of them."""
    if engine == READ:
        return 0.0
    if not (found := _SLEEP.fullmatch(engine)) or float(found[1]) > MAX_SECONDS:
        raise BadArgument(f"there is no engine {engine!r}", f"write sleep:0.006 for 6 ms an image, at most {MAX_SECONDS:g} s")
    return float(found[1])


class Read:
    def __init__(self, features: int) -> None:
        self._features = features

    def __call__(self, pixels: "Pixels") -> "Features":
        return np.zeros((len(pixels), self._features), np.float32)


class Sleep:
    def __init__(self, features: int, of_each: float) -> None:
        self._features, self._of_each = features, of_each
        self._random = np.random.default_rng()
        self._varied = 0.0
        self._left = 0
        self._even = True

    def __call__(self, pixels: "Pixels") -> "Features":
        if self._left <= 0:
            self._varied = self._random.uniform(-VARIES, VARIES) if self._even else -self._varied
            self._even, self._left = not self._even, STRETCH
        self._left -= len(pixels)
        time.sleep(len(pixels) * self._of_each * (1 + self._varied))
        return self._random.standard_normal((len(pixels), self._features), np.float32)
