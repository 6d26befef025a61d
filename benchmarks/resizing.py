"""What another resize than Pillow's bicubic one costs an application.

How far pca_features move, and how many nearest labels change.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.console import Console
from rich.table import Table

from fruits.completed import Completed
from fruits.errors import BadArgument
from fruits.identifier import identifier
from fruits.model import SIDE
from fruits.neighbours import nearest
from fruits.query import network_of

Pixels = npt.NDArray[np.uint8]
MOST = 335  # images: the bundled sample


def by_pillow(how: Image.Resampling) -> Callable[[Image.Image], Pixels]:
    return lambda image: np.asarray(image.resize((SIDE, SIDE), how))


def bilinear_without_antialiasing(image: Image.Image) -> Pixels:
    """Each pixel from the four around its centre, as `cv2.resize` and `tf.image.resize` have it."""
    pixels = np.asarray(image, np.float32)
    for axis, size in ((0, image.height), (1, image.width)):
        at = np.clip((np.arange(SIDE) + 0.5) * size / SIDE - 0.5, 0, size - 1)
        low = np.floor(at).astype(int)
        share = (at - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        pixels = pixels.take(low, axis) * (1 - share) + pixels.take(np.minimum(low + 1, size - 1), axis) * share
    return np.round(pixels).astype(np.uint8)


WAYS: dict[str, Callable[[Image.Image], Pixels]] = {
    "bilinear, antialiased": by_pillow(Image.Resampling.BILINEAR),
    "bilinear, not antialiased": bilinear_without_antialiasing,
    "Lanczos, antialiased": by_pillow(Image.Resampling.LANCZOS),
    "nearest pixel": by_pillow(Image.Resampling.NEAREST),
}


def measured(title: str, completed: Completed, paths: Sequence[str], console: Console) -> None:
    infer, known, k = network_of(completed.report), identifier(completed), len(completed.projection.explained)
    every = np.concatenate([vectors for _, vectors in completed.blocks()])

    def projected(way: Callable[[Image.Image], Pixels]) -> npt.NDArray[np.float32]:
        rows = np.empty((len(paths), k), np.float32)
        for row, path in enumerate(paths):
            with Image.open(path) as image:
                rows[row] = completed.projection.apply(infer(way(image.convert("RGB"))[None]), completed.uncentred)[0]
        return rows

    right = projected(by_pillow(Image.Resampling.BICUBIC))
    labels, beside = known.confidences(right).argmax(axis=1), nearest(right, every, 2).distances[:, 1]
    console.print(f"{title}: {len(paths)} images; the nearest other image is {np.median(beside):.2f} away in the middle")
    table = Table("resize", "largest difference", "distance, median", "distance, largest", "nearest label changed", box=None)
    for name, way in WAYS.items():
        other = projected(way)
        moved = np.linalg.norm(other - right, axis=1)
        changed = (known.confidences(other).argmax(axis=1) != labels).mean()
        table.add_row(name, f"{np.abs(other - right).max():.2f}", f"{np.median(moved):.2f}", f"{moved.max():.2f}", f"{changed:.1%}")
    console.print(table)


def compared(results: str, photos: Sequence[str], console: Console) -> None:
    """Shows it of images of the results, and of the photos.

    Raises `BadArgument` where there are no results, and where an image cannot be opened.
    """
    completed = Completed.at(results)
    paths = [path for rows, _ in completed.blocks() for path in rows["path"].to_pylist()]
    paths = paths[:: -(-len(paths) // MOST)]
    for path in (*paths, *photos):
        try:
            Image.open(path).close()
        except (OSError, Image.DecompressionBombError) as fault:  # no image: an OSError of Pillow's
            raise BadArgument(
                f"{path} cannot be opened: {fault}",
                "the images of the results must be on this machine",
            ) from fault
    measured("images of the results", completed, paths, console)
    if photos:
        measured("other photos", completed, photos, console)
