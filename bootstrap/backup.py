"""The bucket's results to a local folder, as `aws s3 sync` copied them. What is there already with the same content is left as it is, and
nothing is ever removed."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.costs import Cost
from benchmarks.prices import Prices
from bootstrap import progress
from bootstrap.aws import DENIED, Account, code_of
from bootstrap.request import BUNDLES, LOGS
from bootstrap.transfer import Stored, compared, config, cost_of, in_parallel, sent_in, stored
from fruits import storage
from fruits.errors import BadArgument, RunFailed

DRAFTS = ".partial"  # files that are not complete yet, and the lock
NO_DATA = (LOGS, BUNDLES)  # folders of the bucket that `up` and the nodes make again
_OF_ONE_OBJECT = {"404": "it is gone", "NoSuchKey": "it is gone", "InvalidObjectState": "it is archived"} | dict.fromkeys(
    DENIED, "access denied"
)
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


@dataclass(frozen=True)
class Backup:
    """To `folder`, each under its key: what is to be fetched, what is `there` already, what is left out (by why), and by key what cannot
    be fetched, with the reason."""

    bucket: str
    folder: Path
    objects: list[Stored]
    there: list[Stored]
    ignored: dict[str, int]
    failed: dict[str, str]

    def path(self, one: Stored) -> Path:
        return self.folder / one.key

    def cost(self, region: str, prices: Prices) -> Cost:
        """Of the requests: a HEAD and the GETs. What leaves AWS has no price in the table."""
        gets = sum(1 + max(1, sent_in(one.size)) for one in self.objects)
        cost = cost_of(region, prices, {f"{gets:,} GET": ("s3 get", gets / 1000)})
        return Cost(cost.parts, [*cost.unknown, "data transfer out of AWS"] if self.objects else cost.unknown, cost.assumed)


def size(objects: Sequence[Stored]) -> int:
    return sum(one.size for one in objects)


def prepared(account: Account, bucket: str, folder: str, prefix: str) -> Backup:
    """Looks at both sides and fetches nothing. `prefix`: a folder of the bucket; empty: all but `NO_DATA`. Raises `BadArgument`."""
    url = storage.normalized(folder)
    backup = Backup(bucket, Path(url), [], [], {}, {})
    if not storage.is_local(url) or (backup.folder.exists() and not backup.folder.is_dir()):
        raise BadArgument(f"{folder} is no folder on this machine", "give one; it is made where it is missing")
    alike, ignored, found = [], Counter[str](), 0
    for one in stored(account, bucket, f"{prefix.strip('/')}/" if prefix else ""):
        top = one.key.partition("/")[0]
        if not prefix and top in NO_DATA:
            ignored[f"in {top}"] += 1
        elif (one.key.endswith("/") or one.key.endswith("_$folder$")) and not one.size:
            ignored["folder markers"] += 1
        elif why := _no_name_here(one.key):
            backup.failed[one.key] = why
        elif _size_of(backup.path(one)) == one.size:
            alike.append((one, backup.path(one)))
        else:
            backup.objects.append(one)
        found += 1
    if not found:
        raise BadArgument(f"nothing lies in s3://{bucket}/{prefix}", "give another --from, or --all")
    backup.ignored.update(ignored)

    for one, verdict in compared(account, bucket, alike):
        if isinstance(verdict, OSError):
            backup.failed[one.key] = verdict.strerror or str(verdict)
            continue
        if verdict is None:  # no digest to compare: it is the one that came if it has the time that was given to it
            verdict = backup.path(one).stat().st_mtime == one.modified
        (backup.there if verdict else backup.objects).append(one)
    _check_space(backup)
    return backup


def _no_name_here(key: str) -> str | None:
    parts = key.split("/")
    if {"", ".", ".."} & set(parts):
        return "its name would lead out of the folder, or to no file"
    if parts[0] == DRAFTS:
        return f"{DRAFTS} is where files are until they are complete"
    return "there is a NUL in its name" if "\0" in key else None


def _size_of(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:  # a name that is too long, a folder that may not be looked into: said when it is to be written
        return None


def _check_space(backup: Backup) -> None:
    there = backup.folder
    while not there.exists():
        there = there.parent
    if not os.access(there, os.W_OK | os.X_OK):
        raise BadArgument(f"{there} cannot be written: access denied", "give another folder, or ask for the right to write there")
    free, needed = shutil.disk_usage(there).free, size(backup.objects)
    if free < needed:
        raise BadArgument(f"{needed:,} bytes are to be fetched, and {there} has {free:,} left", "make room, or give another folder")


def fetch(account: Account, backup: Backup) -> None:
    """Fetches it. What cannot be read or written joins `failed`, and the others are fetched; raises what S3 refuses, and `RunFailed`."""
    with (
        _drafts(backup.folder) as drafts,
        progress.shown("backup", len(backup.objects), size(backup.objects)) as advance,
    ):

        def get(one: Stored) -> None:
            _get(account, backup, one, drafts, advance.bytes)

        for one, fault in in_parallel(get, backup.objects):
            if fault:
                backup.failed[one.key] = fault.strerror or str(fault)
            advance.file()


def _get(account: Account, backup: Backup, one: Stored, drafts: Path, received: Callable[[int], None]) -> None:
    """Raises `OSError` for what is a fault of this one, and what stands in its way on the disk."""
    from botocore.exceptions import ClientError
    from s3transfer.exceptions import RetriesExceededError

    try:
        _get_whole(account, backup, one, drafts, received)
    except ClientError as refused:
        if code_of(refused) not in _OF_ONE_OBJECT:
            raise
        raise OSError(errno.EACCES, _OF_ONE_OBJECT[code_of(refused)]) from refused
    except RetriesExceededError as broken:
        raise RunFailed(f"the connection broke within {one.key}, again and again", "the same command goes on where it stopped") from broken
    except OSError as failed:
        if failed.errno not in _OF_THE_DISK:
            raise
        raise RunFailed(
            f"{backup.path(one)} cannot be written: {failed.strerror}", "mend that; the same command goes on where it stopped"
        ) from failed


def _get_whole(account: Account, backup: Backup, one: Stored, drafts: Path, received: Callable[[int], None]) -> None:
    """The whole file or nothing, its owner's alone, and of the object's time."""
    path = backup.path(one)
    storage.make_private(path.parent)
    number, name = tempfile.mkstemp(dir=drafts)
    draft = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            account.s3.download_fileobj(backup.bucket, one.key, file, Callback=received, Config=config())
        os.utime(draft, (one.modified, one.modified))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _drafts(folder: Path) -> Iterator[Path]:
    """A folder for what is not complete. Raises `BadArgument` while another backup has it."""
    drafts = folder / DRAFTS
    storage.make_private(drafts)
    number = os.open(drafts, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as taken:
        os.close(number)
        raise BadArgument(f"another backup writes to {folder}", "wait for its end") from taken
    try:
        for left in drafts.iterdir():  # of one that was killed
            left.unlink()
        yield drafts
    finally:
        shutil.rmtree(drafts, ignore_errors=True)  # downloads that nobody waits for may still make files
        os.close(number)
