"""The marker of a chunk: the last thing that a worker writes of it, and the proof that it is done."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from fruits.storage import WORK, Folder, StoredFile, is_draft

MARKERS = f"{WORK}/markers"
REJECTS = f"{WORK}/rejects"


@dataclass(frozen=True)
class ChunkDone:
    """What came of a chunk. `first`: its first key, by which results are put in order. `seconds`: of one worker, which
    is told by the number of its process, its node and, on YARN, its container.

    `features` and `rejects` name the files that hold its rows; None where it has no such row. `committed`: seconds since 1970, by the
    clock of the worker's node. `origins`: the chunks from which its rows were carried over.
    """

    chunk: str
    first: str
    featurized: int
    rejected: int
    labels: dict[str, int]
    reasons: dict[str, int]
    features: StoredFile | None
    rejects: StoredFile | None
    seconds: float
    worker: str
    node: str
    container: str | None
    committed: float = 0.0
    origins: list[str] = field(default_factory=list)

    @property
    def images(self) -> int:
        return self.featurized + self.rejected

    @property
    def stored(self) -> list[StoredFile]:
        return [file for file in (self.features, self.rejects) if file is not None]


@dataclass(frozen=True)
class Marker:
    """A chunk that is done, with the fingerprint of its features and the identity of its files: key, size, version."""

    fingerprint: str
    done: ChunkDone
    files: list[tuple[str, int, str]]

    def write(self, folder: Folder) -> None:
        folder.write(marker_name(self.done.chunk), json.dumps(asdict(self)).encode())

    def intact(self, folder: Folder) -> bool:
        """Whether the files of the chunk hold what was written."""
        return all(folder.holds_intact(file) for file in self.done.stored)

    @staticmethod
    def parse(data: bytes) -> "Marker":
        """Raises `ValueError`, `KeyError` or `TypeError` for what is no marker."""
        content: dict[str, Any] = json.loads(data)
        done = content["done"]
        for name in ("features", "rejects"):
            done[name] = StoredFile(**done[name]) if done[name] else None
        files = [(str(key), int(size), str(version)) for key, size, version in content["files"]]
        if not files:
            raise ValueError("a marker of no file")
        return Marker(content["fingerprint"], ChunkDone(**done), files)


def marker_name(chunk: str) -> str:
    return f"{MARKERS}/{chunk}.json"


def marker_names(folder: Folder) -> list[str]:
    """Of the chunks that are committed. Drafts are none, though one of a worker that was killed before its last step can be whole."""
    return [name for name in folder.names(MARKERS) if not is_draft(name)]


def read_marker(folder: Folder, name: str) -> Marker | None:
    """The marker of that name, if it is one."""
    try:
        return Marker.parse(folder.read(name))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def believed(folder: Folder, name: str, fingerprint: str) -> Marker | None:
    """The marker of that name, if it is whole, of these features, and its files hold what it says."""
    marker = read_marker(folder, name)
    return marker if marker and marker.fingerprint == fingerprint and marker.intact(folder) else None
