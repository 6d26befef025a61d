"""Defaults of the command line's options from `fruits.toml`, so that on a cluster a bare `python -m fruits` does the customer's job.

Read from the configuration folders of the system and of the user and from the working folder; what comes later wins:

    backend = "dask"
    input = "s3://bucket/Test"
    output = "s3://bucket/Results"

    [set]
    "spark.driver.memory" = "4g"
"""

import os
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from fruits.errors import BadArgument

NAME = "fruits.toml"


def files() -> list[Path]:
    """The files that there are, the least specific first."""
    system = os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    user = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    folders = [*(Path(folder) for folder in reversed(system.split(":")) if folder), Path(user)]
    candidates = [*(folder / "fruits" / NAME for folder in folders), Path(NAME).absolute()]
    return [path for path in candidates if path.is_file()]


def read(known: Collection[str]) -> dict[str, Any]:
    """Options by their names as typed, without the dashes; raises `BadArgument` for a file that cannot be read and for an unknown name."""
    found: dict[str, Any] = {}
    for path in files():
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as fault:
            raise BadArgument(f"{path} cannot be read: {fault}", "mend it, or move it away") from fault
        for name, value in content.items():
            if name not in known:
                raise BadArgument(f"{path}: there is no option {name!r}", f"its options are: {', '.join(sorted(known))}")
            found[name] = value
    return found
