"""What a worker does with a chunk: read, decode, infer, write the rows, then the marker. It knows no engine."""

import os
import socket
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fruits import schemas
from fruits.decode import Reason, Rejected, decode
from fruits.listing import Entry, label_of
from fruits.marker import REJECTS, ChunkDone, Marker, believed, marker_name
from fruits.model import FEATURES, SIDE, Engine, network
from fruits.plan import Chunk, read_chunk
from fruits.storage import Folder

FEATURES_FOLDER = "features"
# What is done by then is committed, and the rest of the chunk is left to another: a kill must not lose more than 30 s of a worker's work,
# and neither bytes nor counts tell how long images take (a flat PNG of 40 million pixels has 131 kB and takes 0.4 s).
COMMIT_SECONDS = 20.0


@dataclass(frozen=True)
class FeaturizeTask:
    """What all chunks of a run have in common. `provenance` goes into the metadata of the Parquet files.

    `again`: what tells the names of a run that does rejected files again from those of the run that rejected them.
    """

    input: str
    output: str
    fingerprint: str
    engine: Engine
    batch_size: int
    max_pixels: int
    max_file_bytes: int
    provenance: Mapping[str, Any]
    again: str = ""


def featurize_chunk(task: FeaturizeTask, index: int) -> ChunkDone:
    """Featurizes chunk `index` of the plan and commits it; one that is committed already is left as it is.

    Of one that takes longer than `COMMIT_SECONDS` only the beginning: at least one image.
    """
    started = time.monotonic()
    output = Folder(task.output)
    chunk = read_chunk(output, index)
    name = chunk.name(task.fingerprint + task.again)
    if earlier := believed(output, marker_name(name), task.fingerprint):
        return earlier.done  # an engine runs a task again whose worker died after the commit

    rejects: dict[int, Rejected] = {}
    good, features = _features(task, chunk.rows, rejects)
    if (count := len(good) + len(rejects)) < len(chunk.rows):
        chunk = Chunk(chunk.files.slice(0, count))
        name = chunk.name(task.fingerprint + task.again)
    paths, labels = _named(task, chunk.rows, good)
    stored = rejected = None
    if good:
        stored = schemas.write(
            output,
            f"{FEATURES_FOLDER}/{name}.parquet",
            schemas.FEATURES,
            (paths, labels, schemas.vectors(features)),
            task.provenance,
        )
    if rejects:
        reasons = [str(fault.reason) for fault in rejects.values()]
        details = [fault.detail for fault in rejects.values()]
        rejected = schemas.write(
            output,
            f"{REJECTS}/{name}.parquet",
            schemas.REJECTED,
            (*_named(task, chunk.rows, rejects), reasons, details),
            task.provenance,
        )
    done = ChunkDone(
        chunk=name,
        first=chunk.rows[0][0],
        featurized=len(good),
        rejected=len(rejects),
        labels=dict(Counter(labels)),
        reasons=dict(Counter(str(fault.reason) for fault in rejects.values())),
        features=stored,
        rejects=rejected,
        seconds=time.monotonic() - started,
        worker=str(os.getpid()),
        node=os.environ.get("NM_HOST", socket.gethostname()),  # these two are set in YARN's containers
        container=os.environ.get("CONTAINER_ID"),
        committed=time.time(),
    )
    Marker(task.fingerprint, done, [row[:3] for row in chunk.rows]).write(output)
    return done


def _named(task: FeaturizeTask, rows: list[Entry], chosen: Iterable[int]) -> tuple[list[str], list[str]]:
    """Paths and labels of the chosen rows."""
    keys = [rows[row][0] for row in chosen]
    return [f"{task.input.rstrip('/')}/{key}" for key in keys], [label_of(key, task.input) for key in keys]


def _features(task: FeaturizeTask, rows: list[Entry], rejects: dict[int, Rejected]) -> tuple[list[int], npt.NDArray[np.float32]]:
    """The rows that could be featurized and their features [n, 1280]; the others go to `rejects`, by row, up to where the time was up."""
    infer = network(task.engine)
    features = np.empty((len(rows), FEATURES), np.float32)
    batch = np.empty((min(task.batch_size, len(rows)), SIDE, SIDE, 3), np.uint8)
    good: list[int] = []
    inferred = 0
    for row, pixels in _decoded(task, rows, rejects):
        batch[len(good) - inferred] = pixels
        good.append(row)
        if len(good) - inferred == len(batch):
            features[inferred : len(good)] = infer(batch)
            inferred = len(good)
    if rest := len(good) - inferred:  # as it is: filling it up would be work for nothing
        features[inferred : len(good)] = infer(batch[:rest])
    return good, features[: len(good)]


def _decoded(task: FeaturizeTask, rows: list[Entry], rejects: dict[int, Rejected]) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    folder = Folder(task.input)
    started = time.monotonic()
    for row, (key, size, _, fault) in enumerate(rows):
        if row and time.monotonic() - started > COMMIT_SECONDS:
            return
        try:
            if fault:
                raise Rejected(Reason(fault), "seen in the listing")
            yield row, decode(_read(folder, key, size, task.max_file_bytes), task.max_pixels)
        except Rejected as rejected:
            rejects[row] = rejected


def _read(folder: Folder, key: str, size: int, limit: int) -> bytes:
    """A fault of this one file raises `Rejected`; any other (network, disk) is the chunk's, which is then tried again."""
    if size > limit:
        raise Rejected(Reason.TOO_LARGE, f"{size} bytes, the limit is {limit}")
    try:
        return folder.read(key)
    except FileNotFoundError as missing:
        raise Rejected(Reason.NOT_FOUND, "it was there when the folder was listed") from missing
    except PermissionError as denied:
        raise Rejected(Reason.ACCESS_DENIED, "no right to read it") from denied
    except IsADirectoryError as folder_now:
        raise Rejected(Reason.NOT_A_FILE, "it is a folder now") from folder_now
