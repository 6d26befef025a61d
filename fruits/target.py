"""A single file that a command is told to write, anywhere: refused before the work for it begins, written whole or not at all."""

import os
from dataclasses import dataclass

from fruits.errors import BadArgument, RunFailed
from fruits.storage import Folder, check_writable, normalized


@dataclass(frozen=True)
class Target:
    folder: Folder
    name: str

    @staticmethod
    def at(url: str, ending: str) -> "Target":
        """Raises `BadArgument` where the name has another ending, so that no photo is replaced by mistake, or nothing can be written."""
        parent, _, name = normalized(url).rpartition("/")
        if parent.endswith(":/"):
            raise BadArgument(f"{url} names no file in a bucket or file system", f"give for example {parent}/{name}/file{ending}")
        if not name.endswith(ending) or name == ending:
            raise BadArgument(f"{url} does not end in {ending}", f"give for example {name.partition('.')[0] or 'file'}{ending}")
        target = Target(Folder(parent or "/"), name)
        if target.folder.local and os.path.isdir(target.url):
            raise BadArgument(f"{target.url} is a folder", "give the name of a file in it")
        check_writable(target.folder.url, "give another place")
        return target

    @property
    def url(self) -> str:
        return self.folder.path(self.name)

    def write(self, data: bytes) -> None:
        """Raises `RunFailed`; the file that was there before is then as it was."""
        try:
            self.folder.write(self.name, data)
        except OSError as failed:
            raise RunFailed(f"{self.url} cannot be written: {failed.strerror or failed}", "mend that, or give another place") from failed
