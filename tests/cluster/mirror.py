"""Local folders and their likeness at a place that nodes see, so that a test may write and read files as if all were local."""

import os
import stat
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cluster.places import CONNECTIONS, Place

Signature = tuple[int, int, int]  # what changes with a local file's content


class Mirror:
    """A file is carried over only when it was written since: modification times, versions and ETags mean the same on both sides."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._known: dict[Path, tuple[Signature, str]] = {}  # alike on both sides, with the version there
        self._folders: set[Path] = set()

    def url(self, path: str | Path) -> str:
        """Where a local file or folder is at the place."""
        return f"{self.place.url}{Path(path).absolute()}"

    def local(self, url: str) -> Path:
        """The inverse of `url`."""
        assert url.startswith(self.place.url)
        return Path(url.removeprefix(self.place.url))

    def up(self, path: Path) -> None:
        """Makes the place like the local file or folder, which need not exist. ValueError for what can be at no place: links, pipes."""
        path = path.absolute()
        files, folders = _local(path)
        gone = [file for file in self._known if file not in files and (file == path or path in file.parents)]
        _each(gone, lambda file: self.place.remove(str(file)))
        for file in gone:
            del self._known[file]
        for folder in sorted(folders - self._folders):
            self.place.make_folder(str(folder))
        self._folders |= folders
        new = [file for file, signature in files.items() if file not in self._known or self._known[file][0] != signature]
        _each(new, lambda file: self.place.put(str(file), file.read_bytes()))
        if new:
            root = path.parent if path in files else path
            versions = self.place.listing(str(root)).files
            for file in new:
                self._known[file] = (files[file], versions[file.relative_to(root).as_posix()])

    def down(self, folder: Path) -> None:
        """Makes the local folder like the place, byte for byte. Folders that are no more stay: S3 has none that could go."""
        folder = folder.absolute()
        listing = self.place.listing(str(folder))
        for key in listing.folders:
            (folder / key).mkdir(parents=True, exist_ok=True)
            self._folders.add(folder / key)
        versions = {folder / key: version for key, version in listing.files.items()}
        for file in [file for file in self._known if folder in file.parents and file not in versions]:
            file.unlink()
            del self._known[file]
        new = [file for file, version in versions.items() if file not in self._known or self._known[file][1] != version]
        for file, data in zip(new, _each(new, lambda file: self.place.get(str(file))), strict=True):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            self._known[file] = (_signature(file.stat()), versions[file])

    def job(self, job: dict[str, Any]) -> dict[str, Any]:
        """The same job at the place, where its local files and folders then are."""
        at_place = dict(job)
        for name in ("input", "output", "manifest", "projection"):
            if name in job:
                self.up(Path(job[name]))
                at_place[name] = self.url(job[name])
        return at_place


def _local(path: Path) -> tuple[dict[Path, Signature], set[Path]]:
    """The files and the folders at and below a path."""
    if path.is_file():
        return {path: _signature(path.stat())}, set()
    if not path.exists():
        return {}, set()
    files, folders = {}, set()
    for parent, below, names in os.walk(path):
        folders.add(Path(parent))
        for name in [*below, *names]:
            found = Path(parent, name)
            status = found.lstat()
            if name in names and stat.S_ISREG(status.st_mode):
                files[found] = _signature(status)
            elif not stat.S_ISDIR(status.st_mode):
                raise ValueError(f"{found} is neither a file nor a folder")
    return files, folders


def _signature(status: os.stat_result) -> Signature:
    return status.st_mtime_ns, status.st_size, status.st_ino


def _each(files: Iterable[Path], work: Callable[[Path], Any]) -> list[Any]:
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return list(pool.map(work, files))
