"""Folders of many images: a few real ones under many names."""

import os
import shutil
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path

from fruits import job

SAMPLE = Path(job.SAMPLE)


def photos(folder: Path) -> list[Path]:
    """The JPEGs below a folder, sorted."""
    return sorted(folder.rglob("*.jpg"))


def named(originals: Sequence[Path], count: int) -> Iterator[tuple[str, Path]]:
    """So many names, in folders by label, each with the photo that it stands for."""
    for number, photo in enumerate(islice(cycle(originals), count)):
        yield f"{photo.parent.name}/{number // len(originals)}_{photo.name}", photo


def copies(originals: Sequence[Path], count: int, into: Path) -> Path:
    """So many images in `into`, in folders by label: hard links where the disk allows."""
    for name, photo in named(originals, count):
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(photo, target)
        except OSError:  # another disk, or one without links
            shutil.copyfile(photo, target)
    return into
