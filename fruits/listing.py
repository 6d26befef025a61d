"""Which images there are: one listing of the input folder, by the core, the same for every backend.

An image is a file whose name matches a pattern, in any case. Names that begin with `.` or `_` count like others, but for what file
systems leave behind (`._*`, `.DS_Store`, folder markers). Linked files are read, linked folders are not followed.
"""

import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import translate

import pyarrow as pa
import pyarrow.compute as pc

from fruits.decode import Reason
from fruits.errors import BadArgument
from fruits.job import Job
from fruits.storage import Folder

# key: the name below the input folder. version: what changes when the content does (modification time, or ETag).
# fault: the reason for which the file is rejected unread, or empty.
SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
        pa.field("fault", pa.string(), nullable=False),
    ]
)
Entry = tuple[str, int, str, str]  # a row of it
_ROWS = 65_536  # so many Python objects at a time, the rest in Arrow's arrays


@dataclass(frozen=True)
class Listing:
    """`files`: a table of `SCHEMA`, sorted by key. `ignored`: files that are not images, by why."""

    files: pa.Table
    ignored: dict[str, int]
    linked_folders: list[str]

    def __len__(self) -> int:
        return int(self.files.num_rows)

    @property
    def bytes(self) -> int:
        return int(pc.sum(self.files["size"]).as_py())

    def spread(self, count: int) -> tuple[str, ...]:
        """Keys of so many files without a fault, or of all that there are, from all over the listing."""
        keys = self.files.filter(pc.equal(self.files["fault"], ""))["key"]
        count = min(count, len(keys))
        return tuple(keys[number * len(keys) // count].as_py() for number in range(count))

    def fingerprint(self) -> str:
        """SHA-256 of every file's key, size and version, in hexadecimal."""
        digest = hashlib.sha256()
        for batch in self.files.to_batches(max_chunksize=_ROWS):
            for row in rows(batch):
                digest.update(repr(row).encode())
        return digest.hexdigest()


def list_images(job: Job) -> Listing:
    """Raises `BadArgument` when the input is no folder, cannot be listed, or holds no file that matches."""
    folder = input_folder(job)
    ignored: Counter[str] = Counter()
    linked: list[str] = []
    matches = re.compile("|".join(translate(pattern.lower()) for pattern in job.patterns))
    entries = _local(job.input, matches, ignored, linked) if folder.local else _remote(folder, matches, ignored)
    try:
        files = table_of(entries).sort_by("key")
    except PermissionError as denied:
        raise BadArgument(f"the folder {denied.filename} cannot be listed: access denied", "ask for the right to read it") from denied
    except OSError as failed:  # a path longer than the system takes, a disk that fails
        place = _printable(failed.filename or job.input)
        raise BadArgument(f"the folder {place} cannot be listed: {failed.strerror or failed}", "mend that, or move it away") from failed
    if not files.num_rows:
        seen = ", ".join(f"{count} {why}" for why, count in ignored.items()) or "it is empty"
        raise BadArgument(
            f"no file in {job.input} matches {' or '.join(job.patterns)} ({seen})", "give another --input, or --pattern '*.png'"
        )
    return Listing(files, dict(ignored), sorted(linked))


def input_folder(job: Job) -> Folder:
    """Raises `BadArgument` when it does not exist."""
    folder = Folder(job.input)
    if not folder.exists():
        raise BadArgument(f"there is no folder {job.input}", "check the path given as --input")
    return folder


def rows(files: pa.Table | pa.RecordBatch) -> list[Entry]:
    """The rows of a table, or part of one, of `SCHEMA`."""
    return list(zip(*(column.to_pylist() for column in files.columns), strict=True))


def label_of(key: str, input_url: str) -> str:
    """The name of the parent folder; for a file at the root that of the input folder or bucket."""
    parent = key.rpartition("/")[0] or input_url
    return parent.rstrip("/").rpartition("/")[2]


def table_of(entries: Iterable[Entry]) -> pa.Table:
    """A table of `SCHEMA`."""
    batches, found = [], []
    for entry in entries:
        found.append(entry)
        if len(found) == _ROWS:
            batches.append(_batch(found))
            found = []
    return pa.Table.from_batches([*batches, _batch(found)], SCHEMA)


def _batch(found: list[Entry]) -> pa.RecordBatch:
    columns = zip(*found, strict=True) if found else ((), (), (), ())
    return pa.record_batch([pa.array(column, f.type) for column, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def _why_ignored(name: str, matches: re.Pattern[str]) -> str | None:
    if name.startswith("._") or name == ".DS_Store":
        return "left behind by file systems"
    if not matches.match(name.lower()):
        return "of other names"
    return None


def _local(root: str, matches: re.Pattern[str], ignored: Counter[str], linked: list[str]) -> Iterator[Entry]:
    folders = [root]
    while folders:
        folder = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_symlink() and os.path.isdir(entry.path):  # entry.is_dir() raises for a link to itself
                    linked.append(_printable(entry.path))
                elif why := _why_ignored(entry.name, matches):
                    ignored[why] += 1
                else:
                    yield local_entry(entry.path, os.path.relpath(entry.path, root))


def local_entry(path: str, key: str) -> Entry:
    """What is at the path, links followed."""
    if (printable := _printable(key)) != key:
        return printable, 0, "", Reason.BAD_NAME
    try:
        status = os.stat(path)
    except PermissionError:
        return key, 0, "", Reason.ACCESS_DENIED
    except OSError:  # a link that leads nowhere, or to itself
        return key, 0, "", Reason.NOT_FOUND
    fault = "" if stat.S_ISREG(status.st_mode) else Reason.NOT_A_FILE
    return key, status.st_size, str(status.st_mtime_ns), fault


def _printable(path: str) -> str:
    """The path, with the bytes that are not UTF-8 escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _remote(folder: Folder, matches: re.Pattern[str], ignored: Counter[str]) -> Iterator[Entry]:
    try:
        for key, size, version in folder.walk():
            name = key.rpartition("/")[2]
            if not name or name.endswith("_$folder$"):
                ignored["folder markers"] += 1
            elif why := _why_ignored(name, matches):
                ignored[why] += 1
            else:
                yield key, size, version, ""
    except PermissionError:
        raise  # of a folder below, which the caller names
    except OSError as failed:
        raise BadArgument(f"{folder.url} cannot be listed: {failed.strerror or failed}", "check the network, and try again") from failed
