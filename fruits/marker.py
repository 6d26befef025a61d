"""The marker of a chunk: the last thing that a worker writes of it, and the proof that it is done."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from fruits.storage import WORK, Folder, StoredFile

MARKERS = f"{WORK}/markers"
REJECTS = f"{WORK}/rejects"


@dataclass(frozen=True)
class ChunkDone:
    """What came of a chunk. `first`: its first key, by which results are put in order. `seconds`: of one worker, which
    is told by the number of its process, its node and, on YARN, its container.

    `features` and `rejects` name the files that hold its rows; None where it has no such row.
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

    @staticmethod
    def parse(data: bytes) -> "Marker":
        """Raises `ValueError`, `KeyError` or `TypeError` for what is no marker."""
        content: dict[str, Any] = json.loads(data)
        done = content["done"]
        for name in ("features", "rejects"):
            done[name] = StoredFile(**done[name]) if done[name] else None
        return Marker(content["fingerprint"], ChunkDone(**done), [(k, s, v) for k, s, v in content["files"]])


def marker_name(chunk: str) -> str:
    return f"{MARKERS}/{chunk}.json"


def believed(folder: Folder, name: str, fingerprint: str) -> Marker | None:
    """The marker of that name, if it is whole, of these features, and its files hold what it says."""
    try:
        marker = Marker.parse(folder.read(name))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    if marker.fingerprint != fingerprint or not all(folder.holds_intact(file) for file in marker.done.stored):
        return None
    return marker


def reusable(folder: Folder, fingerprint: str, files: Iterable[tuple[str, int, str]]) -> list[Marker]:
    """The markers whose every file is still what was listed, ordered by first key; no file is in two of them."""
    todo = {key: (size, version) for key, size, version in files}
    chosen = []
    for name in folder.names(MARKERS):
        marker = believed(folder, name, fingerprint)
        if marker and all(todo.get(key) == (size, version) for key, size, version in marker.files):
            for key, _, _ in marker.files:
                del todo[key]
            chosen.append(marker)
    return sorted(chosen, key=lambda marker: marker.done.first)
