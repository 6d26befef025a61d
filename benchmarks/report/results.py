"""Result files: read, checked, and joined."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.study import SCHEMA_VERSION
from fruits.errors import BadArgument

# Measurements of other versions of these are not of the same thing.
SAME = ("ai-edge-litert", "dask", "dask-ml", "distributed", "numpy", "pillow", "pyarrow", "pyspark")


@dataclass(frozen=True)
class Results:
    """`studies`: by the file's name; the first is the one that the text speaks of. `speed`: of `python -m benchmarks speed`, or None.
    `marks`: in what the studies differ, though they stand on one page."""

    studies: dict[str, dict[str, Any]]
    speed: dict[str, Any] | None
    marks: list[str]

    @property
    def first(self) -> dict[str, Any]:
        return next(iter(self.studies.values()))


def read_results(paths: Sequence[Path]) -> Results:
    """Files, or folders of them. Raises `BadArgument` where there are none, for what is no result, and for studies of different images."""
    files = [file for path in paths for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    if not files:
        raise BadArgument(f"no result in {', '.join(map(str, paths)) or 'nothing'}", "measure first: python -m benchmarks")
    studies: dict[str, dict[str, Any]] = {}
    speed = None
    for file in files:
        content = _read(file)
        if content.get("kind") == "study":
            studies[str(file)] = content
        elif "cases" in content:
            speed = content
        else:
            raise BadArgument(f"{file} is no result of python -m benchmarks", "leave it out")
    if not studies:
        raise BadArgument(f"there is no study in {', '.join(map(str, files))}", "measure one: python -m benchmarks")
    return Results(studies, speed, _marks(studies))


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text())
    except OSError as failed:
        raise BadArgument(f"{file} cannot be read: {failed.strerror}", "check the path") from failed
    except ValueError as fault:
        raise BadArgument(f"{file} is no JSON: {fault}", "leave it out, or measure again") from fault
    if not isinstance(content, dict):
        raise BadArgument(f"{file} is no result of python -m benchmarks", "leave it out")
    if content.get("kind") == "study":
        if content.get("schema_version") != SCHEMA_VERSION:
            raise BadArgument(f"{file} has schema {content.get('schema_version')}, not {SCHEMA_VERSION}", "measure again")
        if not any("failed" not in run for run in content["runs"]):
            raise BadArgument(f"{file}: all of its {len(content['runs'])} runs failed", "see why in the file, and measure again")
    return content


def _marks(studies: dict[str, dict[str, Any]]) -> list[str]:
    (name, first), *others = studies.items()
    marks = []
    for other, study in others:
        if study["plan"]["images"] != first["plan"]["images"]:
            raise BadArgument(f"{name} and {other} are of different images", "make a page of each")
        for package in SAME:
            versions = [one["machine"]["packages"].get(package) for one in (first, study)]
            if versions[0] != versions[1]:
                marks.append(f"{other} was measured with {package} {versions[1]}, {name} with {versions[0]}")
        if study["machine"]["processor"] != first["machine"]["processor"]:
            marks.append(f"{other} was measured on {study['machine']['processor']}, {name} on {first['machine']['processor']}")
    return marks
