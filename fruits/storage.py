"""Folders, wherever they are: local paths by the operating system, S3 by `s3.py`, HDFS by `hdfs.py`."""

import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from fruits import hadoop
from fruits.errors import BadArgument, MissingPackage

if TYPE_CHECKING:
    import pyarrow as pa

    from fruits.hdfs import HdfsFolder
    from fruits.s3 import S3Folder

WORK = "_fruits"  # the part of a results folder that the next run needs and no reader looks at


def normalized(url: str) -> str:
    """The one spelling of a folder's URL: local paths absolute, `s3a` as `s3`, no slash at the end.

    An `hdfs://` URL stays as typed. Raises `BadArgument` for an empty URL, for one that holds credentials, for other file systems, and for
    HDFS where nothing says which NameNode.
    """
    if not url:
        raise BadArgument("an empty path is no folder", "give a folder, for example ./Test or s3://bucket/Test")
    if "://" not in url:
        return os.path.abspath(os.path.expanduser(url))
    scheme, rest = url.split("://", 1)
    if scheme == "file":
        return os.path.abspath("/" + rest.lstrip("/"))
    if scheme not in ("s3", "s3a", "hdfs"):
        raise BadArgument(f"{scheme}:// URLs cannot be read or written", "use a local path, hdfs:// or s3://")
    if "@" in rest.partition("/")[0]:
        raise BadArgument(f"the {scheme}:// URL holds a user name or key", f"take it out: {_CREDENTIALS[scheme]}")
    rest = rest.rstrip("/")
    if scheme == "hdfs":
        _check_hdfs(rest)
    return f"{'s3' if scheme == 's3a' else scheme}://{rest}"


_AWS = "credentials come from the environment, as the AWS tools take them"
_CREDENTIALS = {"s3": _AWS, "s3a": _AWS, "hdfs": f"the user is the one of this process, or {hadoop.USER}"}


def _check_hdfs(rest: str) -> None:
    authority, _, path = rest.partition("/")
    if not rest:
        raise BadArgument("hdfs:// names no folder", "give for example hdfs:///Test, or hdfs://namenode:8020/Test")
    if {".", ".."} & set(path.split("/")):
        raise BadArgument(f"hdfs://{rest} has . or .. in it, which HDFS does not resolve", "give the folder's own path")
    if not authority:
        hadoop.webhdfs_addresses(authority)


def is_local(url: str) -> bool:
    return "://" not in url


def holds(outer: str, inner: str) -> bool:
    """Whether the folder `inner` is `outer` or lies in it (both normalized); links are followed."""
    outer, inner = _identity(outer), _identity(inner)
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")


def _identity(url: str) -> str:
    """The same text for all names of a folder."""
    if is_local(url):
        return os.path.realpath(url)
    if not url.startswith("hdfs://"):
        return url
    path = url.removeprefix("hdfs://").partition("/")[2]
    return f"hdfs://{hadoop.filesystem_of(url)}/" + "/".join(part for part in path.split("/") if part)


def is_draft(name: str) -> bool:
    """Whether a file is one that `Folder.create` did not finish: its writer was killed."""
    return re.fullmatch(r"(.*/)?\..+\.[0-9a-f]{8}\.tmp", name) is not None


def _draft_of(name: str) -> str:
    """Where a file is until it is complete. A name of its own for every attempt: two writers of one file must not share it."""
    folder, slash, last = name.rpartition("/")
    return f"{folder}{slash}.{last}.{secrets.token_hex(4)}.tmp"


def private(path: str, flags: int) -> int:
    """An `opener` of `open`: a new file is its owner's alone, whatever the umask."""
    return os.open(path, flags, 0o600)


def make_private(folder: Path) -> None:
    """Makes a folder and what is missing above it, its owner's alone; one that is there stays as it is."""
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)  # another worker may have been faster


def check_writable(url: str, instead: str) -> None:
    """Raises `BadArgument`, with `instead` as the advice, for a local folder that cannot be made or written to; others are not asked."""
    if not is_local(url):
        return
    place = url
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place):
        raise BadArgument(f"{place} is not a folder", instead)
    if not os.access(place, os.W_OK | os.X_OK):
        raise BadArgument(f"{place} cannot be written: access denied", f"{instead}, or ask for the right to write there")


@dataclass(frozen=True)
class StoredFile:
    """A file of a results folder: its name below the folder, its size in bytes, and the SHA-256 of its content."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Folder:
    """A folder at a normalized URL. Names are relative, with `/`.

    Missing files raise `FileNotFoundError`, denied ones `PermissionError`, and so on; what is no fault of one file, such as a network
    that is down or credentials that were refused, raises `OSError` itself.
    """

    url: str

    @cached_property
    def _remote(self) -> "S3Folder | HdfsFolder":
        try:
            if self.url.startswith("hdfs://"):
                from fruits.hdfs import HdfsFolder

                return HdfsFolder(self.url)
            from fruits.s3 import S3Folder

            return S3Folder(self.url)
        except ImportError as missing:
            raise MissingPackage(f"what reads {self.url.split('://', 1)[0]}:// URLs", "worker") from missing

    @property
    def local(self) -> bool:
        return is_local(self.url)

    def path(self, name: str) -> str:
        return f"{self.url}/{name}" if name else self.url

    def read(self, name: str) -> bytes:
        if self.local:
            with open(self.path(name), "rb") as file:
                return file.read()
        return self._remote.read(name)

    def open(self, name: str) -> Any:
        """A seekable binary file to read, so that a large one need not be in memory. For Arrow's readers there is `open_arrow`."""
        if self.local:
            return open(self.path(name), "rb")
        return self._remote.open(name)

    def open_arrow(self, name: str) -> "pa.NativeFile":
        """The file for Arrow's readers; one that is not on a local disk is read into memory.

        Not a Python file: Arrow's read-ahead threads let go of it when they like, and one that does so while the interpreter ends aborts
        the process (pyarrow 26: 21 of 120 processes by `pq.read_table`, 1 of 180 by `csv.read_csv`).
        """
        import pyarrow as pa

        if self.local:
            return pa.OSFile(self.path(name))
        memory = pa.BufferOutputStream()  # Arrow's own: a view of Python's bytes would be let go of in the same way
        memory.write(self.read(name))
        return pa.BufferReader(memory.getvalue())

    def write(self, name: str, data: bytes) -> StoredFile:
        """Writes the whole file or nothing: a reader never sees a part of it."""
        if self.local:
            with self.create(name) as file:
                file.write(data)
            return file.stored
        self._remote.write(name, bytes(data), _draft_of(name))  # bytes of Arrow, too, which S3 does not take
        return StoredFile(name, len(data), hashlib.sha256(data).hexdigest())

    def write_new(self, name: str, data: bytes) -> None:
        """Writes a file that is not there yet; raises `FileExistsError` for all but one of those who try."""
        if not self.local:
            self._remote.write_new(name, data)
            return
        target = Path(self.path(name))
        make_private(target.parent)
        with open(target, "xb", opener=private) as file:
            try:
                file.write(data)
                file.flush()
            except BaseException:  # Ctrl-C, too: others would take what is there for the whole
                target.unlink()
                raise

    @contextmanager
    def create(self, name: str) -> Iterator["NewFile"]:
        """A file to write to piece by piece, which appears under its name when the block ends without an error."""
        target = Path(self.path(name)) if self.local else Path(tempfile.gettempdir(), Path(name).name)
        make_private(target.parent)
        draft = Path(_draft_of(str(target)))
        try:
            with open(draft, "xb", opener=private) as raw:
                file = NewFile(name, raw)
                yield file
            if self.local:
                os.replace(draft, target)
            else:
                self._remote.write(name, draft, _draft_of(name))
        finally:
            draft.unlink(missing_ok=True)

    def names(self, prefix: str) -> list[str]:
        """Names of the files in the folder `prefix`, sorted; none where it does not exist. Not recursive."""
        if self.local:
            try:
                with os.scandir(self.path(prefix)) as entries:
                    return sorted(f"{prefix}/{e.name}" if prefix else e.name for e in entries if not e.is_dir())
            except FileNotFoundError:
                return []
        return sorted(f"{prefix}/{name}" if prefix else name for name in self._remote.names(prefix))

    def walk(self) -> Iterator[tuple[str, int, str]]:
        """Every file below a folder that is not local, in no order: its name, its size in bytes, and what changes when its content does."""
        return self._remote.walk()

    def files(self, prefix: str) -> Iterator[tuple[str, int, str]]:
        """As `walk`, of the files in the folder `prefix` alone; none where it does not exist."""
        return self._remote.files(prefix)

    def status(self, name: str) -> tuple[int, str]:
        """Size and version of a file in a folder that is not local, as `walk` tells them."""
        return self._remote.status(name)

    def exists(self) -> bool:
        """Raises `BadArgument` when that cannot be found out: no credentials, no connection, no such bucket."""
        return os.path.isdir(self.url) if self.local else self._remote.exists()

    def empty(self) -> bool:
        if self.local:
            return not (os.path.lexists(self.url) and os.listdir(self.url))
        return self._remote.empty()

    def remove(self, name: str) -> None:
        """Removes a file; one that is not there is as good."""
        try:
            if self.local:
                os.unlink(self.path(name))
            else:
                self._remote.remove(name)
        except FileNotFoundError:
            pass

    def remove_if_empty(self, name: str) -> None:
        """Removes a folder with nothing in it; on S3 folders are only names."""
        if not self.local:
            self._remote.remove_if_empty(name)
        elif os.path.isdir(self.path(name)) and not os.listdir(self.path(name)):
            os.rmdir(self.path(name))

    def holds_intact(self, stored: StoredFile) -> bool:
        """Whether the file is there with the size and the content that were recorded."""
        try:
            with self.open(stored.name) as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(0)
                return size == stored.bytes and hashlib.file_digest(file, "sha256").hexdigest() == stored.sha256
        except (FileNotFoundError, IsADirectoryError):
            return False


class NewFile:
    """A file being written that counts and digests what goes into it."""

    def __init__(self, name: str, raw: BinaryIO) -> None:
        self._name, self._raw, self._bytes, self._digest = name, raw, 0, hashlib.sha256()
        self.closed = False  # pyarrow asks

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self._bytes += len(data)
        return self._raw.write(data)

    def flush(self) -> None:
        self._raw.flush()

    @property
    def stored(self) -> StoredFile:
        return StoredFile(self._name, self._bytes, self._digest.hexdigest())
