"""Sizes and versions of files whose names are known, many at a time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fruits.decode import Reason
from fruits.listing import SCHEMA, Entry, local_entry, table_of
from fruits.storage import Folder

_AT_A_TIME = 16
_NARROW = 256  # files that one thread asks for in turn
# From so many files on, a listing of their folder takes fewer requests than one for each: S3 lists 1000 in one.
_WIDE = 16


def look_up(folder: Folder, keys: pa.ChunkedArray) -> pa.Table:
    """A table of `listing.SCHEMA`, in no order. What does not exist has that fault."""
    wide = [] if folder.local else list(_wide(keys))
    many = pa.concat_arrays([group for _, group in wide]) if wide else pa.array([], pa.string())
    few = keys.filter(pc.invert(pc.is_in(keys, many))) if wide else keys
    parts = [few.slice(start, _NARROW) for start in range(0, len(few), _NARROW)]
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        found = [
            *pool.map(lambda group: _in_folder(folder, *group), wide),
            *pool.map(lambda part: table_of(entry_of(folder, key) for key in part.to_pylist()), parts),
        ]
    return pa.concat_tables(found)


def _wide(keys: pa.ChunkedArray) -> Iterator[tuple[str, pa.Array]]:
    """Folders of which many files are asked for, with the keys of these."""
    table = pa.table([pc.replace_substring_regex(keys, r"[^/]*$", ""), keys], ["parent", "key"]).sort_by("parent").combine_chunks()
    parents, keys = table["parent"].combine_chunks(), table["key"].combine_chunks()
    ends = np.flatnonzero(pc.not_equal(parents.slice(1), parents.slice(0, len(parents) - 1))) + 1
    for start, stop in pairwise([0, *ends.tolist(), len(parents)]):
        if stop - start >= _WIDE:
            yield parents[start].as_py(), keys.slice(start, stop - start)


def _in_folder(folder: Folder, parent: str, keys: pa.Array) -> pa.Table:
    """By one listing of their folder."""
    there = table_of((parent + name, size, version, "") for name, size, version in folder.files(parent.removesuffix("/")))
    at = pc.index_in(keys, value_set=there["key"].combine_chunks())
    missing = pc.is_null(at)
    found = there.take(pc.drop_null(at))
    gone = keys.filter(missing)
    return pa.concat_tables([found, table_of((key, 0, "", Reason.NOT_FOUND) for key in gone.to_pylist())]).cast(SCHEMA)


def entry_of(folder: Folder, key: str) -> Entry:
    """One file, as a listing would have it."""
    if folder.local:
        return local_entry(folder.path(key), key)
    try:
        return key, *folder.status(key), ""
    except FileNotFoundError:
        return key, 0, "", Reason.NOT_FOUND
    except IsADirectoryError:
        return key, 0, "", Reason.NOT_A_FILE
    except PermissionError:  # of a HEAD, which does not tell why: the GET of the worker will
        return key, 0, "", ""
