"""Cutting the listing: every image once, within the bounds."""

import random
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from fruits.plan import cut


def sizes(images: int, each: int = 5_000) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(np.full(images, each))])


def lengths(cuts: list[int]) -> list[int]:
    return [stop - start for start, stop in pairwise(cuts)]


def test_a_given_size_is_kept() -> None:
    assert lengths(cut(sizes(14), 2, 5)) == [5, 5, 4]
    assert lengths(cut(sizes(14), 2, 14)) == [14]
    assert lengths(cut(sizes(14), 2, 100)) == [14]
    assert cut(sizes(0), 2, 5) == [0]


@pytest.mark.parametrize(("images", "workers", "largest"), [(335, 2, 64), (22_688, 2, 709), (22_688, 8, 177), (1_000_000, 2, 2048)])
def test_by_images_and_workers(images: int, workers: int, largest: int) -> None:
    """images / (16 x workers), from 64 to 2048: at the end no worker waits long; 22,688 / 32 = 709, 22,688 / 128 = 177."""
    assert max(lengths(cut(sizes(images), workers, None))) == largest


def test_the_last_chunks_are_small() -> None:
    assert max(lengths(cut(sizes(22_688), 2, None))[-4:]) == 64


def test_large_files_make_small_chunks() -> None:
    assert max(lengths(cut(sizes(1000, each=4_000_000), 2, None))) == 32  # of 128 MB
    assert max(lengths(cut(sizes(10, each=500_000_000), 2, None))) == 1


def test_every_image_is_in_one_chunk() -> None:
    generator = random.Random(7)  # noqa: S311
    for _ in range(300):
        images = generator.randrange(0, 20_000)
        each = pa.chunked_array([pa.array([generator.choice([0, 5_000, 3_000_000, 200_000_000]) for _ in range(images)], pa.int64())])
        cuts = cut(each, generator.randrange(1, 100), generator.choice([None, None, 1, 7, 64, 5000]))
        assert cuts[0] == 0
        assert cuts[-1] == images
        assert all(start < stop for start, stop in pairwise(cuts))
