"""Features of the same photos in batches of different sizes."""

from collections.abc import Iterable

import numpy as np
from PIL import Image

from conftest import SAMPLE
from fruits.model import Engine, network


def photos() -> np.ndarray:
    """Pixels [32, 224, 224, 3] of photos from all over the sample."""
    paths = [path for label in sorted(SAMPLE.iterdir()) for path in sorted(label.glob("*.jpg"))]
    return np.stack([np.asarray(Image.open(path).resize((224, 224))) for path in paths[::10][:32]])


def assert_independent_of_batch(engine: Engine, sizes: Iterable[int]) -> None:
    """Bit for bit as one by one."""
    infer, pixels = network(engine), photos()
    one_by_one = np.concatenate([infer(pixels[i : i + 1]) for i in range(32)])
    assert one_by_one.shape == (32, 1280)
    assert one_by_one.dtype == np.float32
    for size in sizes:
        batches = np.concatenate([infer(pixels[i : i + size]) for i in range(0, 32, size)])
        assert np.array_equal(batches, one_by_one), f"batch of {size}"
