"""Small pictures of images, in one file: what a page shows of them."""

import io
import os
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image

from fruits.decode import Rejected, thumbnail
from fruits.errors import BadArgument
from fruits.images import Images, Input
from fruits.storage import is_local

SIDE = 64  # pixels; a multiple of the 16 of a JPEG's blocks, so that no picture touches its neighbour
COLUMNS = 32
MOST = COLUMNS * COLUMNS  # 1.3 MB of the page, with photos of Fruits-360
SECONDS = 20.0  # for all of them: what is not there by then, or hangs, is left out
_READING, _DECODING = 16, 4  # at a time; a large picture takes some 100 MB while it is decoded
_QUALITY = 82


@dataclass(frozen=True)
class Sheet:
    """`jpeg`: pictures of `SIDE` in rows of `COLUMNS`, or nothing. `places`: the number of each key's. `missing`: how many of those that
    were asked for are not there, by why, in words."""

    jpeg: bytes = b""
    places: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)


def sheet(where: Input, keys: Sequence[str]) -> Sheet:
    """Thumbnails of at most `MOST` files of the input. What cannot be read is missing; raises nothing."""
    reading = _Reading(where, keys[:MOST])
    reading.run()
    pictures = dict(sorted(reading.pictures.items()))
    if not pictures:
        return Sheet(missing=dict(reading.missing))
    rows = -(-len(pictures) // COLUMNS)
    canvas = Image.new("RGB", (min(len(pictures), COLUMNS) * SIDE, rows * SIDE), "white")
    for place, picture in enumerate(pictures.values()):
        canvas.paste(picture, (place % COLUMNS * SIDE, place // COLUMNS * SIDE))
    file = io.BytesIO()
    canvas.save(file, "JPEG", quality=_QUALITY)
    places = {keys[number]: place for place, number in enumerate(pictures)}
    return Sheet(file.getvalue(), places, dict(reading.missing))


class _Reading:
    """By threads for which no process waits at its end: a read may hang."""

    def __init__(self, where: Input, keys: Sequence[str]) -> None:
        self._where, self._keys, self._images = where, keys, Images(where)
        self._left = iter(range(len(keys)))
        self._lock, self._decoding = threading.Lock(), threading.Semaphore(_DECODING)
        self._ended = False
        self.pictures: dict[int, Image.Image] = {}
        self.missing: Counter[str] = Counter()

    def run(self) -> None:
        end = time.monotonic() + SECONDS
        count = min(os.cpu_count() or 1, _DECODING) if is_local(self._where.url) else _READING
        threads = [threading.Thread(target=self._work, name="thumbnails", daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        with self._lock:
            self._ended = True
            late = len(self._keys) - len(self.pictures) - sum(self.missing.values())
            if late:
                self.missing[f"not read within {SECONDS:g} s"] = late
            # The threads that are left may end what they do, and nothing of it comes in any more.

    def _work(self) -> None:
        while (number := self._next()) is not None:
            key = self._keys[number]
            try:
                data = self._images.read((key, 0, "", ""))
                with self._decoding:
                    picture = thumbnail(data, self._where.max_pixels, SIDE)
            except Rejected as rejected:
                self._note(number, str(rejected.reason))
            except MemoryError:  # of this picture: the next may be smaller
                self._note(number, "too little memory")
            except (OSError, BadArgument) as gone:  # the whole input: there is no more to be had
                self._give_up(str(gone.strerror or gone) if isinstance(gone, OSError) else gone.message)
            else:
                self._note(number, picture)

    def _next(self) -> int | None:
        with self._lock:
            return None if self._ended else next(self._left, None)

    def _note(self, number: int, found: "Image.Image | str") -> None:
        with self._lock:
            if self._ended:
                return
            if isinstance(found, str):
                self.missing[found] += 1
            else:
                self.pictures[number] = found

    def _give_up(self, why: str) -> None:
        with self._lock:
            if not self._ended:
                self._ended = True
                self.missing[why] = len(self._keys) - len(self.pictures) - sum(self.missing.values())
