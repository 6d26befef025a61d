"""Folders of many images: a few real ones under many names."""

import os
import shutil
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "fruits" / "sample" / "Test"


def photos(folder: Path) -> list[Path]:
    """The JPEGs below a folder, sorted."""
    return sorted(folder.rglob("*.jpg"))


def copies(originals: Sequence[Path], count: int, into: Path) -> Path:
    """So many images in `into`, in folders by label: hard links where the disk allows."""
    for number, photo in enumerate(islice(cycle(originals), count)):
        folder = into / photo.parent.name
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{number // len(originals)}_{photo.name}"
        try:
            os.link(photo, target)
        except OSError:  # another disk, or one without links
            shutil.copyfile(photo, target)
    return into
