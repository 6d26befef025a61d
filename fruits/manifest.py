"""The images that a file names, in place of a listing of the input folder.

One path a line, or an S3 Inventory: its `manifest.json`, or one of its CSV files. `.gz` of each.
"""

import posixpath
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fruits import hadoop
from fruits.errors import BadArgument
from fruits.inventory import read_csv, read_inventory
from fruits.job import Job
from fruits.lines import Lines, read_lines
from fruits.listing import SCHEMA, Listing, input_folder, list_images
from fruits.lookup import look_up

# Arrow's table of what was read: sizes and versions are null where the manifest does not have them.
_NAMED = pa.schema([("key", pa.string()), ("size", pa.int64()), ("version", pa.string())])


def find_images(job: Job) -> Listing:
    """The images of a job, by its manifest or by listing its input; raises `BadArgument` as `list_images` and `read_manifest` do."""
    return list_images(job) if job.manifest is None else read_manifest(job)


def read_manifest(job: Job) -> Listing:
    """The files that `job.manifest` names, with the sizes and versions that it has or that the input folder tells.

    Raises `BadArgument` for a file that cannot be read or is none such, and, with the number of the line, for a path that is not below the
    input folder. A file that does not exist is in the listing, with that fault.
    """
    assert job.manifest is not None
    folder = input_folder(job)
    ignored: Counter[str] = Counter()
    named = pa.Table.from_batches(_read(job, job.manifest, ignored), _NAMED).sort_by("key")
    if not named.num_rows:
        raise BadArgument(f"{job.manifest} names no image", "give one path a line, below --input or relative to it")
    keys = named["key"]
    first = np.append(True, pc.not_equal(keys.slice(1), keys.slice(0, len(keys) - 1)).to_numpy())
    if repeated := len(first) - int(first.sum()):
        ignored["named again in the manifest"] = repeated
        named = named.filter(pa.array(first))
    known = pc.and_(pc.is_valid(named["size"]), pc.is_valid(named["version"]))
    asked = named["key"].filter(pc.invert(known))
    if len(asked):
        named = named.filter(known)
    told = named.append_column("fault", pa.array([""], pa.string()).take(pa.array(np.zeros(named.num_rows, np.int64)))).cast(SCHEMA)
    files = pa.concat_tables([told, look_up(folder, asked)]).sort_by("key") if len(asked) else told
    return Listing(files, dict(ignored), [])


def _read(job: Job, url: str, ignored: Counter[str]) -> Iterator[pa.RecordBatch]:
    name = url.removesuffix(".gz")
    if name.endswith((".json", ".csv")):
        inventory = read_inventory(job.input, url, ignored) if name.endswith(".json") else read_csv(job.input, url, None, ignored)
        for rows in inventory:
            yield _batch(_checked(job, rows.lines, rows.keys, ignored), rows.sizes, rows.etags)
    else:
        for lines in read_lines(url):
            yield _batch(_keys(job, lines, ignored))


def _keys(job: Job, lines: Lines, ignored: Counter[str]) -> pa.Array:
    """Paths as keys below the input folder."""
    text = lines.text
    below = pa.array(np.zeros(len(text), bool))
    for prefix in _prefixes(job.input):
        begins = pc.starts_with(lines.text, prefix)
        text = pc.if_else(begins, pc.utf8_slice_codeunits(lines.text, len(prefix)), text)
        below = pc.or_(below, begins)
    elsewhere = pc.match_substring_regex(lines.text, r"^(/|[A-Za-z][A-Za-z0-9+.-]*://)")
    lines.refuse_outside(pc.and_(elsewhere, pc.invert(below)), job.input)
    return _checked(job, lines, text, ignored)


def _prefixes(url: str) -> list[str]:
    """What a path below the input may begin with."""
    spellings = [url]
    if "://" not in url:
        spellings.append(f"file://{url}")
    elif url.startswith("s3://"):
        spellings.append(f"s3a://{url.removeprefix('s3://')}")
    elif url.startswith("hdfs://"):
        spellings.append(f"hdfs://{hadoop.filesystem_of(url)}{url.removeprefix('hdfs://')[len(hadoop.authority_of(url)) :]}")
    return [spelling.rstrip("/") + "/" for spelling in spellings]


def _checked(job: Job, lines: Lines, keys: pa.Array, ignored: Counter[str]) -> pa.Array:
    """The keys without those of folders. Null where a file is none: the caller's other columns stay in step."""
    lines.refuse(pc.match_substring_regex(keys, r"(^|/)\.\.(/|$)"), "has .. in it", f"write the path below --input {job.input} without it")
    lines.refuse(pc.match_substring(keys, "\0"), "has a zero byte in it", "no file has such a name")
    if not job.input.startswith("s3://"):  # where keys are only names, these too
        odd = pc.match_substring_regex(keys, r"(^|/)\.(/|$)|//")
        if pc.any(odd).as_py():
            keys = pa.array([posixpath.normpath(key) + "/" * key.endswith("/") if key else key for key in keys.to_pylist()], pa.string())
    folders = pc.or_(pc.equal(keys, ""), pc.or_(pc.equal(keys, "."), pc.ends_with(keys, "/")))
    if count := pc.sum(folders).as_py():
        ignored["folder markers"] += count
    return pc.if_else(folders, pa.scalar(None, pa.string()), keys)


def _batch(keys: pa.Array, sizes: pa.Array | None = None, versions: pa.Array | None = None) -> pa.RecordBatch:
    columns = [keys, *(pa.nulls(len(keys), f.type) if c is None else c for c, f in zip((sizes, versions), list(_NAMED)[1:], strict=True))]
    return pa.record_batch(columns, schema=_NAMED).filter(pc.is_valid(keys))
