"""Folders, wherever they are: local paths by the operating system, every other URL through fsspec."""

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
from urllib.parse import urlsplit

from fruits.errors import BadArgument, MissingPackage

if TYPE_CHECKING:
    import pyarrow as pa

WORK = "_fruits"  # the part of a results folder that the next run needs and no reader looks at


def normalized(url: str) -> str:
    """The one spelling of a folder's URL: local paths absolute, `s3a` as `s3`, no slash at the end.

    Raises `BadArgument` for an empty URL, for one that holds credentials, and for file systems that are not built in yet.
    """
    if not url:
        raise BadArgument("an empty path is no folder", "give a folder, for example ./Test or s3://bucket/Test")
    if "://" not in url:
        return os.path.abspath(os.path.expanduser(url))
    scheme, rest = url.split("://", 1)
    if scheme == "file":
        return os.path.abspath("/" + rest.lstrip("/"))
    if scheme not in ("s3", "s3a"):
        raise BadArgument(f"{scheme}:// URLs cannot be read or written", "use a local path or s3://; hdfs:// comes with --cluster yarn")
    if "@" in urlsplit(url).netloc:
        raise BadArgument(
            f"the {scheme}:// URL holds a user name or key",
            "take it out: credentials come from the environment, as the AWS tools take them",
        )
    return f"{'s3' if scheme == 's3a' else scheme}://{rest.rstrip('/')}"


def is_local(url: str) -> bool:
    return "://" not in url


def holds(outer: str, inner: str) -> bool:
    """Whether the folder `inner` is `outer` or lies in it (both normalized); links are followed."""
    if is_local(outer) != is_local(inner):
        return False
    if is_local(outer):
        outer, inner = os.path.realpath(outer), os.path.realpath(inner)
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")


def is_draft(name: str) -> bool:
    """Whether a file is one that `Folder.create` did not finish: its writer was killed."""
    return re.fullmatch(r"(.*/)?\..+\.[0-9a-f]{8}\.tmp", name) is not None


@dataclass(frozen=True)
class StoredFile:
    """A file of a results folder: its name below the folder, its size in bytes, and the SHA-256 of its content."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Folder:
    """A folder at a normalized URL. Names are relative, with `/`. Missing files raise `FileNotFoundError`."""

    url: str

    @cached_property
    def _remote(self) -> tuple[Any, str]:
        import fsspec

        try:
            filesystem, root = fsspec.core.url_to_fs(self.url)
        except ImportError as missing:
            raise MissingPackage(f"what reads {self.url.split('://', 1)[0]}:// URLs", "worker") from missing
        return filesystem, root

    @property
    def local(self) -> bool:
        return is_local(self.url)

    def path(self, name: str) -> str:
        return f"{self.url}/{name}" if name else self.url

    def _key(self, name: str) -> str:
        root = self._remote[1].rstrip("/")
        return f"{root}/{name}" if name else root

    def read(self, name: str) -> bytes:
        if self.local:
            with open(self.path(name), "rb") as file:
                return file.read()
        data: bytes = self._remote[0].cat_file(self._key(name))
        return data

    def open(self, name: str) -> Any:
        """A seekable binary file to read, so that a large one need not be in memory. For Arrow's readers there is `open_arrow`."""
        if self.local:
            return open(self.path(name), "rb")
        return self._remote[0].open(self._key(name), "rb")

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
        self._remote[0].pipe_file(self._key(name), bytes(data))  # of Arrow, too, which S3 does not take
        return StoredFile(name, len(data), hashlib.sha256(data).hexdigest())

    @contextmanager
    def create(self, name: str) -> Iterator["NewFile"]:
        """A file to write to piece by piece, which appears under its name when the block ends without an error."""
        target = Path(self.path(name)) if self.local else Path(tempfile.gettempdir(), Path(name).name)
        target.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own for every attempt: two writers of one file must not share it.
        draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")  # `is_draft` knows it
        try:
            with open(draft, "xb") as raw:
                file = NewFile(name, raw)
                yield file
            if self.local:
                os.replace(draft, target)
            else:
                self._remote[0].put_file(str(draft), self._key(name))
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
        filesystem, key = self._remote[0], self._key(prefix)
        filesystem.invalidate_cache()
        try:
            found = filesystem.ls(key, detail=True)
        except FileNotFoundError:
            return []
        below = [e["name"].rstrip("/").rsplit("/", 1)[1] for e in found if e["type"] == "file" and e["name"] != key]
        return sorted(f"{prefix}/{name}" if prefix else name for name in below)

    def walk(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every file below a folder that is not local: its name, and what the file system says of it."""
        filesystem, root = self._remote[0], self._key("")
        filesystem.invalidate_cache()
        for path, found in filesystem.find(root, detail=True).items():
            yield path[len(root) + 1 :], found

    def exists(self) -> bool:
        """Raises `BadArgument` when that cannot be found out: no credentials, no connection."""
        if self.local:
            return os.path.isdir(self.url)
        from botocore.exceptions import BotoCoreError

        try:
            self._remote[0].invalidate_cache()
            present: bool = self._remote[0].isdir(self._key(""))
        except (OSError, BotoCoreError) as failed:
            raise BadArgument(
                f"{self.url} cannot be reached: {failed}", "check AWS_PROFILE or the other AWS variables, and the network"
            ) from failed
        return present

    def empty(self) -> bool:
        if self.local:
            return not (os.path.lexists(self.url) and os.listdir(self.url))
        return not self.exists() or not self._remote[0].ls(self._key(""))

    def remove(self, name: str) -> None:
        """Removes a file; one that is not there is as good."""
        try:
            if self.local:
                os.unlink(self.path(name))
            else:
                self._remote[0].rm_file(self._key(name))
        except FileNotFoundError:
            pass

    def remove_if_empty(self, name: str) -> None:
        """Removes a folder with nothing in it; elsewhere than on local disks folders are only names."""
        if self.local and os.path.isdir(self.path(name)) and not os.listdir(self.path(name)):
            os.rmdir(self.path(name))

    def holds_intact(self, stored: StoredFile) -> bool:
        """Whether the file is there with the size and the content that were recorded."""
        try:
            with self.open(stored.name) as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(0)
                return size == stored.bytes and hashlib.file_digest(file, "sha256").hexdigest() == stored.sha256
        except FileNotFoundError:
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
