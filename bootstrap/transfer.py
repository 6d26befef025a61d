"""Many files to S3 or from there at a time: what lies there, which content is the same, and what becomes of a file that fails."""

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from benchmarks.costs import Cost
from benchmarks.prices import Asked, Prices
from bootstrap import progress
from bootstrap.aws import CONNECTIONS, Account, code_of
from fruits.errors import BadArgument

if TYPE_CHECKING:
    from boto3.s3.transfer import TransferConfig

PART = 16 * 2**20  # bytes: what is not smaller goes in parts of that size, each tried again by itself
MAX_KEY_BYTES = 1024  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Stored:
    """An object. `etag` without quotes. `modified`: seconds since 1970."""

    key: str
    size: int
    etag: str
    modified: float


def stored(account: Account, bucket: str, prefix: str) -> Iterator[Stored]:
    """All whose keys begin like that. Raises `BadArgument` where there is no such bucket."""
    from botocore.exceptions import ClientError

    try:
        for page in account.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                yield Stored(found["Key"], found["Size"], found["ETag"].strip('"'), found["LastModified"].timestamp())
    except ClientError as refused:
        if code_of(refused) != "NoSuchBucket":
            raise
        raise BadArgument(
            f"there is no bucket {bucket}", "`up` makes it, with the rest of the foundation; or give another --bucket"
        ) from refused


def same(account: Account, bucket: str, there: Stored, path: Path) -> bool | None:
    """Whether a file of its size has its content; None where S3 has no digest of it that can be computed here.

    An ETag is the MD5 of the content, or of the MD5s of its parts with their number, but where KMS encrypts (https://docs.aws.amazon.com/
    AmazonS3/latest/API/API_Object.html). Where it says no, S3 is asked for the SHA-256 with which `upload` sends.
    """
    if _digest("md5", path, "-" in there.etag, bytes.hex) == there.etag:
        return True
    head = account.s3.head_object(Bucket=bucket, Key=there.key, ChecksumMode="ENABLED")
    if kept := head.get("ChecksumSHA256"):
        return _digest("sha256", path, "-" in kept, lambda digest: b64encode(digest).decode()) == kept
    return None if "-" in there.etag or head.get("ServerSideEncryption", "").startswith("aws:kms") else False


def _digest(algorithm: str, path: Path, in_parts: bool, text: Callable[[bytes], str]) -> str:
    new = partial(hashlib.new, algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        if not in_parts:
            return text(hashlib.file_digest(file, new).digest())
        parts = [new(part).digest() for part in iter(partial(file.read, PART), b"")]
    return f"{text(new(b''.join(parts)).digest())}-{len(parts)}"


def sent_in(size: int) -> int:
    """Parts in which a file of so many bytes goes; 0 for one that goes whole."""
    return -(-size // PART) if size >= PART else 0


def cost_of(region: str, prices: Prices, parts: Mapping[str, tuple[str, float]]) -> Cost:
    """`parts`: by what they are called, an item of the table of prices and how many of its units."""
    price = Asked(prices, region)
    found = {what: count * of.usd for what, (item, count) in parts.items() if (of := price(item))}
    return Cost(found, [what for what in parts if what not in found], sorted(price.assumed))


def config() -> "TransferConfig":
    """Of boto3, within one of our threads."""
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, use_threads=False)


def compared(account: Account, bucket: str, alike: Sequence[tuple[Stored, Path]]) -> Iterator[tuple[Stored, bool | OSError | None]]:
    """What `same` says of each object and the file of its size, or why the file cannot be read."""

    def compare(pair: tuple[Stored, Path]) -> bool | None:
        return same(account, bucket, *pair)

    if not alike:
        return
    with progress.shown("compare", len(alike), sum(one.size for one, _ in alike)) as advance:
        for (one, _), verdict in in_parallel(compare, alike):
            yield one, verdict
            advance.bytes(one.size)
            advance.file()


def in_parallel(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | OSError]]:
    """Each item when its work has ended, with what came of it, or the `OSError` that it raised, which is the file's own. Any other error,
    and Ctrl-C, ends all: what had not begun does not begin, and what had is not waited for."""

    def done(item: Item) -> tuple[Item, Result | OSError]:
        try:
            return item, work(item)
        except OSError as fault:
            return item, fault

    pool = ThreadPool(CONNECTIONS)  # whose threads do not keep the process from its end, as an executor's would
    try:
        yield from pool.imap_unordered(done, items)
    finally:
        pool.terminate()
