"""What an earlier run left that is still right, by the identity of each file (key, size, version), not by chunk."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fruits import schemas
from fruits.listing import SCHEMA
from fruits.marker import ChunkDone, Marker, marker_names, read_marker
from fruits.storage import Folder

NEW, CHANGED, DAMAGED, REJECTED = "new", "changed", "results damaged", "rejected before"
_READERS = 8  # chunks whose files are digested at a time
_NAMED = 5  # so many names are told, of however many
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Part:
    """A chunk of which some rows are still right: `files`, a table of `listing.SCHEMA`."""

    chunk: str
    files: pa.Table


@dataclass(frozen=True)
class Reuse:
    """`whole`: chunks that are right as they are, by their first key. `parts`: chunks that are right in part. `pending`: what is left to
    do, a table of `listing.SCHEMA`; `why`: its images by reason. `vanished`: images of the earlier run that are listed no more.
    `changed_names` and `vanished_names`: the first few. `unreadable`: markers that say nothing.
    """

    whole: list[ChunkDone]
    parts: list[Part]
    pending: pa.Table
    why: dict[str, int]
    vanished: int
    changed_names: list[str]
    vanished_names: list[str]
    unreadable: int

    @property
    def chunks(self) -> list[str]:
        """All whose results are counted on."""
        return [*(done.chunk for done in self.whole), *(part.chunk for part in self.parts)]


def nothing(files: pa.Table) -> Reuse:
    """As before a first run."""
    return Reuse([], [], files, {NEW: files.num_rows} if files.num_rows else {}, 0, [], [], 0)


def look_back(folder: Folder, fingerprint: str, files: pa.Table, input_url: str, retry_rejected: bool) -> Reuse:
    """Compares the markers in a results folder with the listing; with `retry_rejected` no rejected row is right."""
    names = marker_names(folder)
    if not names:
        return nothing(files)
    with ThreadPoolExecutor(_READERS) as pool:
        read = list(pool.map(partial(_read, folder, fingerprint, f"{input_url.rstrip('/')}/" if retry_rejected else None), names))
    # The newest first: where a run that did rows again was killed, those count and not what they replace.
    chunks = sorted((chunk for chunk in read if isinstance(chunk, _Chunk)), key=lambda chunk: (-chunk.done.committed, chunk.done.chunk))
    unreadable = sum(chunk is None for chunk in read)
    if not chunks:
        return Reuse([], [], files, {NEW: files.num_rows}, 0, [], [], unreadable)
    return _compare(files, chunks, unreadable)


@dataclass(frozen=True)
class _Chunk:
    """`files`: key, size and version of each row, and whether it is asked again."""

    done: ChunkDone
    intact: bool
    files: pa.Table


def _read(folder: Folder, fingerprint: str, retry_below: str | None, name: str) -> "_Chunk | str | None":
    """None for what is no marker, its name for one of other features."""
    marker = read_marker(folder, name)
    if marker is None:
        return None
    if marker.fingerprint != fingerprint:
        return name
    intact = marker.intact(folder)
    keys, sizes, versions = zip(*marker.files, strict=True)
    asked = pa.array(_asked_again(folder, marker, keys, retry_below) if intact else np.zeros(len(keys), bool))
    columns = [pa.array(keys, pa.string()), pa.array(sizes, pa.int64()), pa.array(versions, pa.string()), asked]
    return _Chunk(marker.done, intact, pa.table(columns, names=["key", "size", "version", "asked"]))


def _asked_again(folder: Folder, marker: Marker, keys: Iterable[str], retry_below: str | None) -> Flags:
    rejected = set()
    if retry_below is not None and marker.done.rejects:
        rejected = {path.removeprefix(retry_below) for path in schemas.read(folder, marker.done.rejects.name)["path"].to_pylist()}
    return np.array([key in rejected for key in keys], bool)


def _compare(files: pa.Table, chunks: list[_Chunk], unreadable: int) -> Reuse:
    rows = pa.concat_tables([chunk.files for chunk in chunks])
    ends = np.cumsum([chunk.files.num_rows for chunk in chunks])
    slices = [slice(end - chunk.files.num_rows, end) for chunk, end in zip(chunks, ends, strict=True)]
    intact = np.repeat([chunk.intact for chunk in chunks], [chunk.files.num_rows for chunk in chunks])
    at = _numpy(pc.fill_null(pc.index_in(rows["key"], value_set=files["key"].combine_chunks()), -1))
    listed = at >= 0
    now = files.select(["size", "version"]).take(pa.array(np.where(listed, at, 0)))
    same = listed & _numpy(pc.equal(now["size"], rows["size"])) & _numpy(pc.equal(now["version"], rows["version"]))
    asked = _numpy(rows["asked"])
    right = same & intact & ~asked

    taken = np.zeros(files.num_rows, bool)
    whole, parts = [], []
    for chunk, part in zip(chunks, slices, strict=True):
        if right[part].all() and not taken[at[part]].any():
            taken[at[part]] = True
            whole.append(chunk.done)
    names = {done.chunk for done in whole}
    for chunk, part in zip(chunks, slices, strict=True):
        if chunk.done.chunk in names or not chunk.intact:
            continue
        kept = at[part][right[part] & ~taken[at[part]]]
        if len(kept):
            taken[kept] = True
            parts.append(Part(chunk.done.chunk, files.take(pa.array(np.sort(kept)))))

    why = np.zeros(files.num_rows, np.int8)  # new, unless a marker knows better
    reasons = (NEW, CHANGED, DAMAGED, REJECTED)
    for reason, known in ((CHANGED, listed & ~same), (DAMAGED, same & ~intact), (REJECTED, same & intact & asked)):
        why[at[known]] = reasons.index(reason)
    counts = np.bincount(why[~taken], minlength=len(reasons))
    changed = files["key"].filter(pa.array(~taken & (why == reasons.index(CHANGED))))
    gone = pc.unique(rows["key"].filter(pa.array(~listed)))
    return Reuse(
        sorted(whole, key=lambda done: done.first),
        parts,
        files.filter(pa.array(~taken)).cast(SCHEMA),
        {reason: int(count) for reason, count in zip(reasons, counts, strict=True) if count},
        len(gone),
        changed.slice(0, _NAMED).to_pylist(),
        gone.take(pc.sort_indices(gone)).slice(0, _NAMED).to_pylist(),
        unreadable,
    )


def _numpy(values: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    array: npt.NDArray[np.int64] = values.to_numpy(zero_copy_only=False) if isinstance(values, pa.Array) else values.to_numpy()
    return array
