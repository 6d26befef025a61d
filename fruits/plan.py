"""Cutting the listing into chunks, the unit of work and of commit.

The plan is a Parquet file with one row group a chunk. A task is then a number: neither engine ships millions of paths through its
scheduler, and a worker reads no more than its own chunk.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fruits.listing import Entry, rows
from fruits.storage import WORK, Folder

PLAN = f"{WORK}/plan.parquet"
CARRIED = f"{WORK}/carried.parquet"  # the same of the rows that are carried over from chunks of which others are no longer right
# images / (16 x workers), within these bounds. One thread infers 200 images/s with litert on the processors of 2024 and 100 with keras or
# on older ones: 2048 take 10 to 20 s, which is what a kill may lose.
MIN_IMAGES, MAX_IMAGES = 64, 2048
# Large photos take 0.1 s each to decode: a chunk of these must not hold a worker for minutes, for what is not committed is lost in a kill.
MAX_BYTES = 128_000_000


@dataclass(frozen=True)
class Chunk:
    """Some files of the listing, in its order: `files` is a table of `listing.SCHEMA`."""

    files: pa.Table

    @cached_property
    def rows(self) -> list[Entry]:
        return rows(self.files)

    def name(self, fingerprint: str) -> str:
        """The same files with the same features have the same name: two writers of a chunk write the same file."""
        digest = hashlib.sha256(fingerprint.encode())
        for key, size, version, _ in self.rows:
            digest.update(f"{key}\0{size}\0{version}\n".encode())
        return digest.hexdigest()[:20]


def cut(sizes: pa.ChunkedArray, workers: int, chunk_size: int | None) -> list[int]:
    """Where to cut: chunk i is the rows from cuts[i] up to cuts[i + 1].

    `sizes` in bytes. With `chunk_size` every chunk has so many images, the last one the rest. Without, the last chunks are smaller, so
    that no worker ends long after the others (guided self-scheduling, Polychronopoulos and Kuck 1987: a share of what remains).
    """
    images = len(sizes)
    if chunk_size is not None:
        return [*range(0, images, chunk_size), images]
    most = min(max(images // (16 * workers), MIN_IMAGES), MAX_IMAGES)
    ends_at = np.cumsum(sizes.to_numpy())
    cuts = [0]
    while (start := cuts[-1]) < images:
        share = min(most, max(MIN_IMAGES, (images - start) // (2 * workers)))
        before = ends_at[start - 1] if start else 0
        by_bytes = int(np.searchsorted(ends_at, before + MAX_BYTES, side="right"))
        cuts.append(min(start + share, max(by_bytes, start + 1), images))
    return cuts


def write_plan(folder: Folder, files: pa.Table, cuts: list[int], name: str = PLAN) -> None:
    with folder.create(name) as file, pq.ParquetWriter(file, files.schema) as writer:
        for start, stop in pairwise(cuts):
            writer.write_table(files.slice(start, stop - start), row_group_size=stop - start)


def read_chunk(folder: Folder, index: int, name: str = PLAN) -> Chunk:
    with folder.open(name) as file:  # a range of it; one thread, so that no other holds the file when the process ends
        return Chunk(pq.ParquetFile(file).read_row_group(index, use_threads=False))
