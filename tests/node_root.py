"""A scratch root for what installs itself as root: the machine's own files below, and what is written to them beside."""

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

needs_root = pytest.mark.root("installs in a scratch root, of overlay mounts")
SYSTEM = "/usr/bin:/bin:/usr/sbin:/sbin"  # its Python is for all users, as that of a developer need not be


class Root:
    """`written`: the root folder with what was written. It lasts from command to command."""

    FOLDERS = ("etc", "opt", "usr/lib", "var/log")

    def __init__(self, folder: Path) -> None:
        self.written, self._work = folder / "root", folder / "work"
        mounts = []
        for name in self.FOLDERS:
            upper, work = self.written / name, self._work / name
            upper.mkdir(parents=True)
            work.mkdir(parents=True)
            mounts.append(f"mount -t overlay overlay -o lowerdir=/{name},upperdir={upper},workdir={work} /{name}")
        self._mount = " && ".join(mounts)

    def start(self, *command: str | Path, path: str = SYSTEM, under: Sequence[str] = (), **environment: str) -> "subprocess.Popen[str]":
        """Runs in it, with nothing of this process's environment but what is given."""
        words = ["unshare", "--mount", *under, "sh", "-c", f"{self._mount} && exec env {shlex.join([f'PATH={path}', *map(str, command)])}"]
        return subprocess.Popen(
            words,
            env={"PATH": SYSTEM, "HOME": "/root", "LANG": "C.UTF-8", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(
        self, *command: str | Path, path: str = SYSTEM, under: Sequence[str] = (), **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        with self.start(*command, path=path, under=under, **environment) as process:
            stdout, stderr = process.communicate(timeout=1200)
        return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)

    def files(self) -> set[str]:
        """All that were written, and links, by their path in the root."""
        return {f"/{path.relative_to(self.written)}" for path in self.written.rglob("*") if path.is_symlink() or not path.is_dir()}
