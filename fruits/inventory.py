"""S3 Inventory: the lists of a bucket's objects that S3 writes every day, as CSV."""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from fruits.errors import BadArgument
from fruits.lines import Lines, blocks, read_lines

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html: Bucket and Key come first, then, where all versions are
# listed, these three, then what was asked for, Size before ETag. A manifest.json names them in `fileSchema`; the CSV has no header.
_VERSIONS = ("VersionId", "IsLatest", "IsDeleteMarker")
_FIELDS = {name.lower(): name for name in ("Bucket", "Key", *_VERSIONS, "Size", "ETag")}
_ETAG = re.compile(r'"?[0-9a-f]{32}(-\d+)?"?')


@dataclass(frozen=True)
class Rows:
    """Objects below the input folder, one from each of `lines`: keys, sizes in bytes and ETags as a listing has them, where there are."""

    lines: Lines
    keys: pa.Array
    sizes: pa.Array | None
    etags: pa.Array | None


def read_inventory(input_url: str, url: str, ignored: Counter[str]) -> Iterator[Rows]:
    """What a manifest.json names; raises `BadArgument` as `read_csv` does."""
    try:
        content: dict[str, Any] = json.loads(b"".join(block + b"\n" for _, block in blocks(url)))
        form, bucket = content["fileFormat"], content["destinationBucket"].removeprefix("arn:aws:s3:::")
        columns = _known(content["fileSchema"].split(","))
        parts = [f"s3://{bucket}/{part['key']}" for part in content["files"]]
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
        raise BadArgument(f"{url} is no manifest.json of S3 Inventory: {fault!r}", "give that, or a list with another ending") from fault
    if form != "CSV":
        raise BadArgument(f"{url}: the inventory is {form}", "only one as CSV can be read")
    for part in parts:
        yield from read_csv(input_url, part, columns, ignored)


def read_csv(input_url: str, url: str, columns: list[str] | None, ignored: Counter[str]) -> Iterator[Rows]:
    """One CSV of an inventory; without `columns` its first line tells them. Raises `BadArgument` with the line that is wrong."""
    if not input_url.startswith("s3://"):
        raise BadArgument(
            f"{url} is taken for an S3 Inventory, for its ending, and --input {input_url} is not on S3",
            "give a list of paths another ending, such as .txt",
        )
    for lines in read_lines(url):
        if columns is None:
            columns, header = _columns(lines)
            if header:
                lines = lines.filter(pa.array(np.arange(len(lines.text)) > 0))
        yield _rows(input_url, lines, columns, ignored)


def _known(names: list[str]) -> list[str]:
    """As AWS writes them; '' for those of no use here."""
    return [_FIELDS.get(name.strip().lower(), "") for name in names]


def _columns(lines: Lines) -> tuple[list[str], bool]:
    """The columns' names by a header, if there is one, or by what the first line holds; '' for those of no use."""
    values = next(csv.reader([lines.text[0].as_py()]))
    if [value.lower() for value in values[:2]] == ["bucket", "key"]:
        return _known(values), True
    names = ["Bucket", "Key", *[""] * (len(values) - 2)][: len(values)]
    rest = 2
    if len(values) >= 5 and {value.lower() for value in values[3:5]} <= {"true", "false"}:
        names[2:5], rest = _VERSIONS, 5
    for name, pattern in (("Size", re.compile(r"\d+")), ("ETag", _ETAG)):
        if (at := next((i for i in range(rest, len(values)) if not names[i] and pattern.fullmatch(values[i])), None)) is not None:
            names[at] = name
    return names, False


def _parsed(lines: Lines, columns: list[str]) -> pa.Table:
    """As text; `columns`: names by position, '' for those that are left out."""
    names = [name or f"_{i}" for i, name in enumerate(columns)]
    text = "".join(f"{line}\n" for line in lines.text.to_pylist()).encode()
    read = pyarrow.csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names)
    convert = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), include_columns=[name for name in columns if name], strings_can_be_null=False
    )
    try:
        return pyarrow.csv.read_csv(pa.BufferReader(text), read_options=read, convert_options=convert)
    except pa.ArrowInvalid as fault:
        row = re.search(r"Row #(\d+)", str(fault))
        line = lines.numbers[int(row[1]) - 1 if row else 0]
        raise BadArgument(
            f"{lines.url}, line {line}: not as the lines before it: {fault}", "give an S3 Inventory as S3 wrote it"
        ) from fault


def _rows(input_url: str, lines: Lines, columns: list[str], ignored: Counter[str]) -> Rows:
    if not len(lines.text):
        return Rows(lines, lines.text, None, None)
    table = _parsed(lines, columns).combine_chunks()
    found = {name: table[name].combine_chunks() for name in table.column_names}
    if not {"Bucket", "Key"} <= found.keys():
        raise BadArgument(f"{lines.url} has no columns Bucket and Key", "give an S3 Inventory, or a list of paths with the ending .txt")
    for name, value, what in (("IsLatest", "false", "old versions"), ("IsDeleteMarker", "true", "deletion markers")):
        if name in found and (count := pc.sum(unwanted := pc.equal(pc.utf8_lower(found[name]), value)).as_py()):
            ignored[what] += count
            found = {of: column.filter(pc.invert(unwanted)) for of, column in found.items()}
            lines = lines.filter(pc.invert(unwanted))
    bucket, _, prefix = input_url.removeprefix("s3://").partition("/")
    keys, below = _unquoted(lines, found["Key"]), f"{prefix}/" if prefix else ""
    lines.refuse_outside(pc.invert(pc.and_(pc.equal(found["Bucket"], bucket), pc.starts_with(keys, below))), input_url)
    keys = pc.utf8_slice_codeunits(keys, len(below))
    return Rows(lines, keys, _sizes(lines, found.get("Size")), _etags(found.get("ETag")))


def _unquoted(lines: Lines, keys: pa.Array) -> pa.Array:
    """Keys are URL-encoded in an inventory: a space is %20 or +, a plus %2B."""
    if not pc.any(pc.match_substring_regex(keys, "[%+]")).as_py():
        return keys
    decoded = []
    for number, key in zip(lines.numbers, keys.to_pylist(), strict=True):
        try:
            decoded.append(unquote_plus(key, errors="strict"))
        except UnicodeDecodeError as fault:
            raise BadArgument(f"{lines.url}, line {number}: {key!r} is not UTF-8 that was URL-encoded", "check the inventory") from fault
    return pa.array(decoded, pa.string())


def _sizes(lines: Lines, sizes: pa.Array | None) -> pa.Array | None:
    if sizes is None:
        return None
    lines.refuse(pc.invert(pc.match_substring_regex(sizes, r"^\d{0,18}$")), "has a size that is no number", "check the inventory")
    return pc.cast(pc.if_else(pc.equal(sizes, ""), pa.scalar(None, pa.string()), sizes), pa.int64())


def _etags(etags: pa.Array | None) -> pa.Array | None:
    """As a listing of S3 has them, in quotation marks."""
    if etags is None:
        return None
    bare = pc.utf8_trim(etags, '"')
    quoted = pc.binary_join_element_wise('"', bare, '"', "")
    return pc.if_else(pc.equal(bare, ""), pa.scalar(None, pa.string()), quoted)
