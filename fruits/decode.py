"""From the bytes of a file to the pixels that the network takes, or to the reason why not."""

import io
import warnings
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from fruits.model import SIDE

if TYPE_CHECKING:
    from fruits.model import Pixels

Made = TypeVar("Made")

# What photos come in (MPO, of phones, is read as JPEG). Not WebP, whose decoder takes 15 bytes a pixel (722 MB at 40 million), and not
# TIFF, whose decoder has the longest list of vulnerabilities.
FORMATS = ("JPEG", "PNG", "BMP", "GIF")

# `--max-pixels` is checked right after the header is read; Pillow's own warning would only double it.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class Reason(StrEnum):
    """Why an image is rejected."""

    EMPTY = "empty"  # 0 bytes
    TOO_LARGE = "too-large"  # more bytes than --max-file-bytes: not read
    TOO_MANY_PIXELS = "too-many-pixels"  # more pixels than --max-pixels: not decoded
    NOT_AN_IMAGE = "not-an-image"  # no format that is supported
    TRUNCATED = "truncated"  # the data ends too early
    CORRUPT = "corrupt"  # the decoder refused the data
    NOT_FOUND = "not-found"  # it vanished after the listing, or its link leads nowhere
    ACCESS_DENIED = "access-denied"
    NOT_A_FILE = "not-a-file"  # a socket, a pipe, a device
    BAD_NAME = "bad-name"  # the name is not UTF-8
    TIMEOUT = "timeout"  # reading or decoding it took longer than it may


class Rejected(Exception):
    """An image that becomes a row in `rejected`, with a reason and what was seen."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


def decode(data: bytes, max_pixels: int) -> "Pixels":
    """RGB bytes [224, 224, 3] as the notebook had them: Pillow's `convert("RGB")`, bicubic, no EXIF rotation.

    Raises `Rejected` for whatever is not an image.
    """
    return _made(data, max_pixels, _pixels)


def thumbnail(data: bytes, max_pixels: int, side: int) -> Image.Image:
    """An RGB picture of side x side, as `decode` would have it: without its proportions. Large JPEGs are decoded at a part of their size.

    Raises `Rejected` for whatever is not an image.
    """
    return _made(data, max_pixels, partial(_small, side))


def _pixels(image: Image.Image) -> "Pixels":
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    return np.asarray(rgb.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _small(side: int, image: Image.Image) -> Image.Image:
    image.draft("RGB", (2 * side, 2 * side))
    return image.convert("RGB").resize((side, side), Image.Resampling.BICUBIC, reducing_gap=2.0)


def _made(data: bytes, max_pixels: int, of: Callable[[Image.Image], Made]) -> Made:
    """What `of` makes of the image that was opened, and not decoded yet; what fails in that raises `Rejected`."""
    if not data:
        raise Rejected(Reason.EMPTY, "0 bytes")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height * _weight(image) > max_pixels:
                raise Rejected(Reason.TOO_MANY_PIXELS, f"{image.width} x {image.height} pixels, the limit is {max_pixels}")
            return of(image)
    except Image.DecompressionBombError as bomb:
        raise Rejected(Reason.TOO_MANY_PIXELS, str(bomb)) from bomb
    except UnidentifiedImageError as unknown:
        raise Rejected(Reason.NOT_AN_IMAGE, f"none of {', '.join(FORMATS)}: begins with {data[:8].hex(' ')}") from unknown
    except (Rejected, MemoryError):
        raise
    except Exception as fault:
        # Decoders raise nearly everything on hostile data: OSError, SyntaxError, ValueError, struct.error, zlib.error, IndexError ... The
        # only thing that can fail here is this image, and one image must not end a run.
        reason = Reason.TRUNCATED if "truncated" in str(fault).lower() else Reason.CORRUPT
        raise Rejected(reason, f"{type(fault).__name__}: {fault}") from fault


def _weight(image: Image.Image) -> float:
    """How much more memory a pixel takes than the 8 bytes of most formats: 4 decoded and 4 converted.

    A progressive JPEG holds 2 bytes of coefficients a channel beside the 4 until it is decoded.
    """
    held = 4 + 2 * len(image.getbands()) if image.info.get("progressive") else 0
    return max(8, held) / 8
