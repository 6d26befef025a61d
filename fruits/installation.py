"""How fruits was installed, and so how an extra of it is: it is on no package index."""

import json
import shlex
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname


def install_command(extra: str) -> str:
    """The line to type for an extra of fruits: from the checkout or the wheel that this installation came from."""
    source, editable = _source()
    options = ["--editable"] if editable else []
    return shlex.join([sys.executable, "-m", "pip", "install", *options, f"{source}[{extra}]"])


def _source() -> tuple[str, bool]:
    """A checkout or a wheel, and whether it is to be installed editable: as pip recorded it (PEP 610)."""
    try:
        record = json.loads(distribution("fruits").read_text("direct_url.json") or "{}")
    except PackageNotFoundError:
        record = {}
    if record:
        parts = urlsplit(record["url"])
        path = url2pathname(parts.path) if parts.scheme == "file" else record["url"]
        return path, bool(record.get("dir_info", {}).get("editable"))
    checkout = Path(__file__).parents[1]
    if (checkout / "pyproject.toml").is_file():  # on the path, and not installed
        return str(checkout), True
    from fruits import __version__

    return f"fruits-{__version__}-py3-none-any.whl", False
