"""Writes the list of the licences of what a run installs into NOTICE, from the metadata of the packages that are installed.

    python requirements/licences.py requirements/run.lock NOTICE

Packages of the lock that are for another machine keep the line that they have, or get one that says so.
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

HEAD = "Packages that a run installs (requirements/run.lock) and their licences, as their metadata name them:\n"
LINE = re.compile(r"    ([a-z0-9.-]+): (.+)")


def packages(lock: str) -> list[str]:
    """The names of all packages of a lock."""
    names = re.findall(r"^([a-z0-9][a-z0-9._-]*)(?:\[.*\])?==", lock, re.MULTILINE)
    return list(dict.fromkeys(names))  # one may have a version for each machine


def listed(notice: str) -> dict[str, str]:
    """Name and licence of each package of the list in NOTICE."""
    return dict(LINE.findall(notice.partition(HEAD)[2]))


def licence(name: str) -> str | None:
    """In the words of the package's metadata: the SPDX expression, the classifiers, or the first line; None where it is not installed."""
    try:
        found = metadata(name)
    except PackageNotFoundError:
        return None
    text = (found.get("License") or "").strip()
    classifiers = [text.rpartition(" :: ")[2] for text in found.get_all("Classifier", []) if text.startswith("License :: ")]
    if expression := found.get("License-Expression"):
        return str(expression)
    if classifiers and classifiers != ["OSI Approved"]:
        return ", ".join(classifiers)
    return text.partition("\n")[0] or "none named"


def main(lock: str, notice: str) -> None:
    text = Path(notice).read_text()
    known = listed(text)
    lines = [f"    {name}: {licence(name) or known.get(name, 'not installed here')}\n" for name in packages(Path(lock).read_text())]
    Path(notice).write_text(text.partition(HEAD)[0].rstrip("\n") + "\n\n" + HEAD + "".join(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
