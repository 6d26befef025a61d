"""What a worker does with a chunk of which some files have changed or vanished: the rows that are still right become a chunk of their own.

Nothing is inferred again, and the numbers stay the same bits.
"""

import json
import time
from collections import Counter
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from fruits import schemas
from fruits.errors import RunFailed
from fruits.featurize import FEATURES_FOLDER
from fruits.marker import REJECTS, ChunkDone, Marker, believed, marker_name
from fruits.plan import CARRIED, read_chunk
from fruits.storage import Folder, StoredFile


@dataclass(frozen=True)
class CarryTask:
    input: str
    output: str
    fingerprint: str


def carry_chunk(task: CarryTask, item: tuple[int, str]) -> ChunkDone:
    """Commits chunk `item[0]` of the plan CARRIED, whose rows are some of those of the committed chunk named `item[1]`."""
    started = time.monotonic()
    output, (index, origin) = Folder(task.output), item
    chunk = read_chunk(output, index, CARRIED)
    name = chunk.name(task.fingerprint)
    if earlier := believed(output, marker_name(name), task.fingerprint):
        return earlier.done
    old = believed(output, marker_name(origin), task.fingerprint)
    if old is None:
        raise RunFailed(
            f"the results of chunk {origin} changed while this run read them", "the same command goes on where this run stopped"
        )
    paths = pa.array([f"{task.input.rstrip('/')}/{row[0]}" for row in chunk.rows])
    features, labels = _kept(output, old.done.features, f"{FEATURES_FOLDER}/{name}.parquet", schemas.FEATURES, paths)
    rejects, reasons = _kept(output, old.done.rejects, f"{REJECTS}/{name}.parquet", schemas.REJECTED, paths)
    done = replace(
        old.done,
        chunk=name,
        first=chunk.rows[0][0],
        featurized=sum(labels.values()),
        rejected=sum(reasons.values()),
        labels=labels,
        reasons=reasons,
        features=features,
        rejects=rejects,
        seconds=old.done.seconds + time.monotonic() - started,
        committed=time.time(),
        origins=[*old.done.origins, origin],
    )
    Marker(task.fingerprint, done, [row[:3] for row in chunk.rows]).write(output)
    return done


def _kept(
    output: Folder, old: StoredFile | None, name: str, schema: pa.Schema, paths: pa.Array
) -> tuple[StoredFile | None, dict[str, int]]:
    """The file with the rows of `paths` alone, and how many there are by label or by reason."""
    if old is None:
        return None, {}
    rows = schemas.read(output, old.name)
    kept = rows.filter(pc.is_in(rows["path"], paths))
    counts = dict(Counter(kept["label" if schema is schemas.FEATURES else "reason"].to_pylist()))
    if not counts:
        return None, counts
    if kept.num_rows == rows.num_rows and schema is schemas.FEATURES:
        return old, counts  # only rejected rows have left: 5 kB an image need not be written again
    return schemas.write(output, name, schema, kept.columns, json.loads(rows.schema.metadata[schemas.PROVENANCE])), counts
