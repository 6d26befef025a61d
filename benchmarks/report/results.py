"""Result files: read, checked, and joined."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fruits.errors import BadArgument

VERSIONS = {"study": 1, "plane": 1}  # of the schema, where a kind has one
MEASURED = {"study": "runs", "plane": "points"}  # what such a file calls its measurements
# Measurements of other versions of these are not of the same thing.
SAME = ("ai-edge-litert", "dask", "dask-ml", "distributed", "numpy", "pillow", "pyarrow", "pyspark")


@dataclass(frozen=True)
class Results:
    """`studies`: by the file's name; the first is the one that the text speaks of. `speed`: of `python -m benchmarks speed`, or None.
    `marks`: in what the studies differ, though they stand on one page. `planes`: with `--core sleep`, that of one machine before that of
    YARN."""

    studies: dict[str, dict[str, Any]]
    speed: dict[str, Any] | None
    marks: list[str]
    planes: Sequence[dict[str, Any]] = ()

    @property
    def first(self) -> dict[str, Any]:
        return next(iter(self.studies.values()))

    @property
    def plane(self) -> dict[str, Any] | None:
        """The one that is fitted."""
        return self.planes[0] if self.planes else None


def read_results(paths: Sequence[Path]) -> Results:
    """Files, or folders of them. Raises `BadArgument` where there are none, for what is no result, and for studies of different images."""
    files = [file for path in paths for file in (sorted(path.glob("*.json")) if path.is_dir() else [path])]
    if not files:
        raise BadArgument(f"no result in {', '.join(map(str, paths)) or 'nothing'}", "measure first: python -m benchmarks")
    return _joined({file: _read(file) for file in files})


def check_beside(folder: Path, to_come: Mapping[str, dict[str, Any]]) -> None:
    """Raises `BadArgument` where the results in a folder do not fit on a page with those to come.

    `to_come`: by file name what is known of these: kind, plan, machine.
    """
    files = [file for file in sorted(folder.glob("*.json")) if file.name not in to_come]
    contents = {file: _read(file) for file in files}
    _joined(contents | {folder / name: content for name, content in to_come.items()})


def read_cases(file: Path) -> dict[str, Any]:
    """The content of a result of `speed`; no case where there is no such file.

    Raises `BadArgument` for another file.
    """
    if not file.exists():
        return {"cases": {}}
    content = _read(file)
    if _kind(content) != "speed":
        raise BadArgument(f"{file} is no result of python -m benchmarks speed", "give another file")
    return content


def _joined(contents: Mapping[Path, dict[str, Any]]) -> Results:
    studies: dict[str, dict[str, Any]] = {}
    others: dict[str, dict[str, Any]] = {}
    for file, content in contents.items():
        if (kind := _kind(content)) == "plane" and content["plan"].get("cluster") == "yarn":
            kind = "plane on YARN"
        if kind == "study":
            studies[str(file)] = content
        elif kind in others:
            raise BadArgument(f"{file} is a second result of its kind, {kind}: the page has room for one", "leave one out")
        else:
            others[kind] = content
    if not studies:
        files = ", ".join(map(str, contents))
        raise BadArgument(f"there is no study in {files}", "measure one: python -m benchmarks")
    planes = [others[kind] for kind in ("plane", "plane on YARN") if kind in others]
    return Results(studies, others.get("speed"), _marks(studies), planes)


def _kind(content: dict[str, Any]) -> str:
    """`study`, `plane`, `speed`, or what is none of them."""
    return "speed" if "cases" in content else str(content.get("kind"))


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text())
    except OSError as failed:
        raise BadArgument(f"{file} cannot be read: {failed.strerror}", "check the path") from failed
    except ValueError as fault:
        raise BadArgument(f"{file} is no JSON: {fault}", "leave it out, or measure again") from fault
    if not isinstance(content, dict) or (kind := _kind(content)) not in (*VERSIONS, "speed"):
        raise BadArgument(f"{file} is no result of python -m benchmarks", "leave it out")
    if kind in VERSIONS:
        version, measured = VERSIONS[kind], MEASURED[kind]
        if content.get("schema_version") != version:
            raise BadArgument(f"{file} has schema {content.get('schema_version')}, not {version}", "measure again")
        if not any("failed" not in one for one in content[measured]):
            raise BadArgument(f"{file}: all of its {len(content[measured])} {measured} failed", "see why in the file, and measure again")
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
