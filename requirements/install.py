"""Installs a lock of this folder, and fruits itself, into the environment that runs it; says first what that takes.

    .venv/bin/python requirements/install.py run|engines|dev|FILE.lock [--spark 3.5|4]

`run` is what `make run` needs, `engines` has Keras and OpenVINO besides, `dev` all of it and what the tests and
benchmarks need. Does nothing where that, or more, is installed already.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from licences import packages

HERE = Path(__file__).parent
ROOT = HERE.parent
RECORD = Path(sys.prefix, "installed.json")
LEVELS = ("run", "engines", "dev")  # each holds the one before
SPARKS = ("3.5", "4")
# Megabytes to download and on disk, on x86-64 with Python 3.11, of Spark 4 with 3.13 (2026-11-30).
SIZES = {
    "run.lock": (612, 1500),
    "engines.lock": (961, 3145),
    "dev.lock": (1094, 3960),
    "run-spark4.lock": (737, 1673),
    "engines-spark4.lock": (1086, 3317),
    "dev-spark4.lock": (1221, 4064),
}
PIP = (sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--no-input")
# Without build isolation: what an isolated build fetches is in no lock, so pyspark and fruits are built by the locked
# setuptools.
LOCKED = (*PIP, "--require-hashes", "--no-build-isolation", "--requirement")


def locks(wanted: str, spark: str | None) -> list[Path]:
    """The lock to install, and those that hold more than it. Exits where this Python has no such Spark."""
    if wanted not in LEVELS:
        return [Path(wanted)]
    old = sys.version_info < (3, 12)
    if spark == "3.5" and not old:
        sys.exit(f"Spark 3.5 runs on Python 3.11, and this is {python()}: leave SPARK out, or use SPARK=4")
    suffix = "" if (spark or ("3.5" if old else "4")) == "3.5" else "-spark4"
    return [HERE / f"{level}{suffix}.lock" for level in LEVELS[LEVELS.index(wanted) :]]


def python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def digest(lock: Path) -> str:
    """Of all that an installation of it depends on."""
    files = (HERE / "build.lock", lock, ROOT / "pyproject.toml")
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def installed() -> str:
    """The digest of the lock that was installed last, whole; empty for none."""
    try:
        return str(json.loads(RECORD.read_text())["digest"])
    except FileNotFoundError:
        return ""


def install(lock: Path) -> None:
    """Exits with pip's words where it fails, and before it where the disk is too small."""
    count = len(packages(lock.read_text()))
    effort = ""
    if lock.name in SIZES:
        download, disk = SIZES[lock.name]
        effort = f": {download / 1000:.1f} GB to download, {disk / 1000:.1f} GB on disk, a few minutes"
        free = shutil.disk_usage(sys.prefix).free // 10**6
        if free < disk:
            sys.exit(
                f"{lock.name} takes {disk / 1000:.1f} GB in {sys.prefix}, where {free / 1000:.1f} GB are free\n"
                "make room, or put it elsewhere: make VENV=/path ..."
            )
    print(f"Installing {count} packages ({lock.name}, Python {python()}) into {sys.prefix}{effort}", flush=True)
    RECORD.unlink(missing_ok=True)
    pip([*LOCKED, str(HERE / "build.lock")])
    pip([*LOCKED, str(lock)], count)
    pip([*PIP, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)])
    RECORD.write_text(json.dumps({"lock": lock.name, "digest": digest(lock)}))


def pip(command: Sequence[str], count: int = 0) -> None:
    """Runs pip, and shows which of so many packages it is at; exits with all that it says where it fails."""
    terminal = sys.stdout.isatty()
    output = []
    reached = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:  # noqa: S603
        assert process.stdout
        for line in process.stdout:
            output.append(line)
            match = re.match(r"(Collecting|Requirement already satisfied:|Installing collected) ([\w.-]+)", line)
            if not match or not count:
                continue
            reached = min(count, reached + 1)
            unpacking = match[1].startswith("Installing")
            step = f"unpacking {count}" if unpacking else f"{reached} of {count}: {match[2]}"
            if terminal:
                print(f"\r\033[K{step}", end="", flush=True)
            elif unpacking or reached % 25 == 0:
                print(step, flush=True)
    if terminal:
        print("\r\033[K", end="", flush=True)
    if process.returncode:
        sys.stdout.writelines(output)
        sys.exit("pip failed, with the words above; the same command tries again")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("wanted", metavar="|".join((*LEVELS, "FILE.lock")))
    parser.add_argument("--spark", choices=SPARKS, help="[default: 3.5 on Python 3.11, else 4]")
    arguments = parser.parse_args()
    candidates = locks(arguments.wanted, arguments.spark)
    if installed() not in map(digest, candidates):
        install(candidates[0])


if __name__ == "__main__":
    main()
