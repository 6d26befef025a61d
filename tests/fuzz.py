"""Mutated images through what a worker does with a file, in a process of its own: a decoder that crashes takes its process with it.

    python tests/fuzz.py mutant SEED FILE                writes the mutant of a seed, to look at one
    python tests/fuzz.py decode FIRST LAST PROGRESS      decodes these seeds' mutants, and prints what came of them as JSON
    python tests/fuzz.py run FIRST LAST PROGRESS         the same through a whole run: listing, chunks, network, results

PROGRESS: the file in which the seed is that is worked on; what has died or hangs is looked up there.
"""

import io
import json
import os
import random
import re
import resource
import struct
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from fruits.decode import Rejected, decode

SAMPLE = Path(__file__).parents[1] / "fruits" / "sample" / "Test"
AWKWARD = Path(__file__).parent / "data" / "awkward"
MAX_PIXELS = 40_000_000
ADDRESSES = 6 << 30  # bytes of address space: what would take all of the memory fails, and the machine does not
EXTREMES = (b"\x00", b"\xff", b"\x7f", b"\x80", b"\x00\x00", b"\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\xff", b"\x80\x00\x00\x00")
SIDES = (0, 1, 2, 7, 99, 101, 6324, 6326, 20_000, 65_500, 65_535)  # 6325 x 6325 are 40 million
PNG = b"\x89PNG\r\n\x1a\n"

Mutation = Callable[[random.Random, bytearray], bytearray]


@cache
def sources() -> list[bytes]:
    """Real images: JPEGs as they are, PNGs of every kind that is common, and a few of the other formats."""
    photos = sorted(SAMPLE.glob("*/*.jpg"))
    found = [photo.read_bytes() for photo in photos[::2]]
    found += 8 * [file.read_bytes() for file in sorted(AWKWARD.glob("*.jpg"))]
    for number, photo in enumerate(photos[::4]):
        with Image.open(photo) as image:
            modes: tuple[tuple[str, dict[str, Any]], ...] = (
                ("RGB", {"format": "PNG"}),
                ("RGBA", {"format": "PNG"}),
                ("P", {"format": "PNG", "transparency": 3}),
                ("L", {"format": "PNG"}),
                ("1", {"format": "PNG"}),
                ("I;16", {"format": "PNG"}),
                ("RGB", {"format": "JPEG", "progressive": True}),
                ("CMYK", {"format": "JPEG"}),
                ("P", {"format": "GIF"}),
                ("RGB", {"format": "BMP"}),
            )
            for mode, options in (modes[number % 6], modes[number % len(modes)]):
                buffer = io.BytesIO()
                (image.convert("L").convert(mode) if mode == "I;16" else image.convert(mode)).save(buffer, **options)
                found.append(buffer.getvalue())
    return found


def flipped(rng: random.Random, data: bytearray) -> bytearray:
    for _ in range(2 ** rng.randrange(8)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def flipped_header(rng: random.Random, data: bytearray) -> bytearray:
    for _ in range(2 ** rng.randrange(4)):
        data[rng.randrange(min(len(data), 700))] ^= 1 << rng.randrange(8)
    return data


def overwritten(rng: random.Random, data: bytearray) -> bytearray:
    extreme = rng.choice(EXTREMES) * rng.choice((1, 1, 1, 40))
    start = rng.randrange(min(len(data), rng.choice((64, 700, len(data)))))
    data[start : start + len(extreme)] = extreme
    return data


def cut(rng: random.Random, data: bytearray) -> bytearray:
    return data[: rng.randrange(len(data))]


def cut_within(rng: random.Random, data: bytearray) -> bytearray:
    start = rng.randrange(len(data))
    del data[start : start + 2 ** rng.randrange(12)]
    return data


def repeated(rng: random.Random, data: bytearray) -> bytearray:
    start, length = rng.randrange(len(data)), 2 ** rng.randrange(12)
    data[start:start] = data[start : start + length] * rng.choice((1, 1, 30))
    return data


def spliced(rng: random.Random, data: bytearray) -> bytearray:
    other = rng.choice(sources())
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


def resized(rng: random.Random, data: bytearray) -> bytearray:
    """Other sides in the header of a JPEG or PNG: pictures that are not there, with right checksums."""
    if data.startswith(PNG):
        for offset in rng.choice(((16,), (20,), (16, 20))):
            data[offset : offset + 4] = struct.pack(">I", rng.choice((*SIDES, 2**31 - 1, 2**32 - 1)))
    elif frames := list(re.finditer(rb"\xff[\xc0-\xc2]..\x08", data, re.DOTALL)):
        for offset in rng.choice(((5,), (7,), (5, 7))):
            start = frames[0].start() + offset
            data[start : start + 2] = struct.pack(">H", rng.choice(SIDES))
    return data


MUTATIONS: tuple[Mutation, ...] = (flipped, flipped, flipped_header, overwritten, cut, cut_within, repeated, spliced, spliced, resized)


def mutant(seed: int) -> bytes:
    rng = random.Random(seed)  # noqa: S311
    data = bytearray(rng.choice(sources()))
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = rng.choice(MUTATIONS)(rng, data) or bytearray(b"\xff")
    # A wrong checksum would end most PNGs before the decoder has seen what was done to them.
    return checksummed(data) if data.startswith(PNG) and rng.random() < 0.7 else bytes(data)


def checksummed(data: bytearray) -> bytes:
    """A PNG with the right checksum for every chunk that can still be found."""
    offset = len(PNG)
    while offset + 12 <= len(data):
        end = offset + 8 + int.from_bytes(data[offset : offset + 4], "big")
        if end + 4 > len(data):
            break
        data[end : end + 4] = struct.pack(">I", zlib.crc32(data[offset + 4 : end]))
        offset = end + 4
    return bytes(data)


def decoded(seeds: range, at: Callable[[int], None]) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    for seed in seeds:
        at(seed)
        try:
            pixels = decode(mutant(seed), MAX_PIXELS)
        except Rejected as rejected:
            outcomes[str(rejected.reason) if rejected.detail else "without a detail"] += 1
        else:
            assert (pixels.shape, pixels.dtype.name) == ((224, 224, 3), "uint8")
            outcomes["row"] += 1
    return outcomes


def run(seeds: range, at: Callable[[int], None]) -> Counter[str]:
    import numpy as np
    import pyarrow.parquet as pq

    import fruits
    from fruits.backend import REGISTRY, Entry
    from inprocess import Here

    REGISTRY["inprocess"] = Entry("inprocess:InProcessBackend", "dev", "inprocess")
    at(seeds[0])  # of all: the processes do not tell which file they read
    with tempfile.TemporaryDirectory() as folder:
        images, results = Path(folder, "images"), Path(folder, "results")
        images.mkdir()
        for seed in seeds:
            (images / f"{seed}.jpg").write_bytes(mutant(seed))
        fruits.run(fruits.Job(input=str(images), output=str(results), features_only=True, chunk_size=250), session=Here())
        outcomes: Counter[str] = Counter()
        names: list[str] = []
        for file in (results / "features").iterdir():
            rows = pq.read_table(file).to_pydict()
            assert np.isfinite(np.array(rows["features"])).all()
            outcomes["row"] += len(rows["path"])
            names += rows["path"]
        rejected = pq.read_table(results / "rejected.parquet").to_pydict()
        outcomes.update(rejected["reason"])
        assert sorted([*names, *rejected["path"]]) == sorted(f"{images}/{seed}.jpg" for seed in seeds)
    return outcomes


def main(what: str, first: str, last: str, progress: str = "") -> None:
    if what == "mutant":
        Path(last).write_bytes(mutant(int(first)))
        return
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    file = os.open(progress, os.O_WRONLY | os.O_CREAT)

    def at(seed: int) -> None:
        os.pwrite(file, b"%12d" % seed, 0)

    outcomes = {"decode": decoded, "run": run}[what](range(int(first), int(last)), at)
    peak = int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024
    print(json.dumps({"outcomes": outcomes, "peak": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
