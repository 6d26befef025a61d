"""What a worker does with a chunk: read, decode, infer, write the rows, then the marker. It knows no engine."""

import logging
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fruits import schemas
from fruits.decode import Rejected
from fruits.images import Images, Input
from fruits.listing import Entry, label_of
from fruits.marker import REJECTS, ChunkDone, Marker, believed, marker_name
from fruits.model import FEATURES, SIDE, Engine, Network, Precision, needs, network
from fruits.one_by_one import OneByOne
from fruits.plan import Chunk, read_chunk
from fruits.storage import Folder
from fruits.timelimit import TookTooLong, within

if TYPE_CHECKING:
    from fruits.model import Pixels

FEATURES_FOLDER = "features"
# What is done by then is committed, and the rest of the chunk is left to another: a kill must not lose more than 30 s of a worker's work,
# and neither bytes nor counts tell how long images take (a flat PNG of 40 million pixels has 131 kB and takes 0.4 s).
COMMIT_SECONDS = 20.0
_FILE_SECONDS = 60.0  # what passes the limits takes some seconds on a slow disk

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeaturizeTask:
    """What all chunks of a run have in common. `provenance` goes into the metadata of the Parquet files.


    `chunk_seconds`: when to give up a chunk that is not done, and to do it again file by file. `again`: what tells the names of a run that
    does rejected files again from those of the run that rejected them.
    """

    images: Input
    output: str
    fingerprint: str
    engine: Engine
    precision: Precision
    batch_size: int
    chunk_seconds: float
    provenance: Mapping[str, Any]
    again: str = ""

    @property
    def file_seconds(self) -> float:
        """The limit of one file: a tenth of the chunk's, though a minute where the chunk has that long."""
        return max(self.chunk_seconds / 10, min(self.chunk_seconds, _FILE_SECONDS))


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

    good, features, rejects = _featurized(task, chunk.rows)
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
    url = task.images.url
    return [f"{url.rstrip('/')}/{key}" for key in keys], [label_of(key, url) for key in keys]


# The rows that could be featurized, their features [n, 1280], and why the others could not, by row.
Featurized = tuple[list[int], npt.NDArray[np.float32], dict[int, Rejected]]


def _featurized(task: FeaturizeTask, rows: list[Entry]) -> Featurized:
    """In this process; and where that takes too long again, with a process for the images that may be ended."""
    infer = network(task.engine, task.precision)
    images = Images(task.images)

    def work(gave_up: threading.Event) -> Featurized:
        end = time.monotonic() + COMMIT_SECONDS
        decoded = images.decoded(rows) if needs(task.engine).reads else repeat(np.zeros((SIDE, SIDE, 3), np.uint8), len(rows))
        return _features(task, len(rows), decoded, infer, lambda: gave_up.is_set() or time.monotonic() > end)

    try:
        return within(task.chunk_seconds, work)
    except TookTooLong:
        log.warning(
            "the chunk from %s was not done within %g s: again, with %g s a file", rows[0][0], task.chunk_seconds, task.file_seconds
        )
    # All of it at a time, though it waits for what hangs: a rest would take as long to be found out again.
    with OneByOne(task.images, task.file_seconds) as one_by_one:
        return _features(task, len(rows), one_by_one.decoded(rows), infer, lambda: False)


def _features(
    task: FeaturizeTask, count: int, decoded: Iterator["Pixels | Rejected"], infer: Network, enough: Callable[[], bool]
) -> Featurized:
    """Of the first of `count` images at least, and of those after it until there is `enough`."""
    features = np.empty((count, FEATURES), np.float32)
    batch = np.empty((min(task.batch_size, count), SIDE, SIDE, 3), np.uint8)
    good: list[int] = []
    rejects: dict[int, Rejected] = {}
    inferred = 0
    for row, pixels in enumerate(decoded):
        if isinstance(pixels, Rejected):
            rejects[row] = pixels
        else:
            batch[len(good) - inferred] = pixels
            good.append(row)
        if len(good) - inferred == len(batch):
            features[inferred : len(good)] = infer(batch)
            inferred = len(good)
        if enough():
            break
    if rest := len(good) - inferred:  # as it is: filling it up would be work for nothing
        features[inferred : len(good)] = infer(batch[:rest])
    return good, features[: len(good)], rejects
