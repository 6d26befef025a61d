"""The answer of `similar` as a page: self-contained, it loads nothing."""

import base64
import io
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, StrictUndefined
from PIL import Image

from fruits.decode import Rejected
from fruits.errors import BadArgument
from fruits.query import Photos
from fruits.similar import Neighbour, Similar
from fruits.storage import normalized

if TYPE_CHECKING:
    from fruits.model import Pixels

_QUALITY = 85  # of JPEG: 10 kB a picture


@dataclass(frozen=True)
class Shown:
    """`picture`: a data URL, or None where it cannot be read, `why`."""

    neighbour: Neighbour
    picture: str | None
    why: str


def page(found: Similar, pixels: "Pixels", photos: Photos) -> str:
    """HTML with the image and its neighbours as the network saw them: 224 x 224, whatever shape the picture has."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("fruits").joinpath("similar.html.j2").read_text(encoding="utf-8"))
    shown = [_shown(neighbour, photos) for neighbour in found.neighbours]
    return template.render(found=found, query=_picture(pixels), shown=shown, missing=sum(one.picture is None for one in shown))


def _shown(neighbour: Neighbour, photos: Photos) -> Shown:
    try:
        return Shown(neighbour, _picture(photos.pixels(normalized(neighbour.path))), "")
    except Rejected as rejected:
        return Shown(neighbour, None, f"{rejected.reason}: {rejected.detail}")
    except BadArgument as failed:
        return Shown(neighbour, None, failed.message)


def _picture(pixels: "Pixels") -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
