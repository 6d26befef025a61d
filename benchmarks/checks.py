"""What the commands and cases need: packages, engines, a place for the output.

It is looked for before anything is measured, and no package is imported for it.
"""

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from fruits.errors import BadArgument
from fruits.packages import WORKER, Needs
from fruits.target import Target

BACKENDS = ("dask", "spark")
MEASURING = (WORKER, Needs("worker", ("ai_edge_litert", "s3fs")), Needs("bench", ("psutil",)))
PAGE = Needs("bench", ("matplotlib", "numpy", "scipy"))
PICTURE = Needs("bench", ("matplotlib",))
CLASSIFIERS = Needs("bench", ("sklearn",))
S3_SERVER = Needs("bench", ("moto", "flask", "flask_cors"))
KERAS = Needs("keras", ("tensorflow",))
OPENVINO = Needs("openvino", ("openvino",))
# Of the environment of `requirements/peers.lock`.
PEERS = ("ai_edge_litert", "daft", "numpy", "PIL", "ray")
LOOK = """
import sys
from importlib.util import find_spec
print(*(name for name in sys.argv[1:] if find_spec(name) is None))
"""
MAKE_PEERS = "make it: make .peers/stamp"


class Case(NamedTuple):
    """What a case of `speed` runs, and needs beside."""

    backends: tuple[str, ...] = BACKENDS
    needs: tuple[Needs, ...] = ()


CASES = {
    "start": Case(),
    "planning": Case(("dask",), (S3_SERVER,)),
    "features": Case(),
    "job": Case(needs=(KERAS,)),
    "notebook": Case(("spark",), (KERAS,)),
    "pca": Case(),
    "keras": Case((), (KERAS,)),
    "precision": Case(("dask",), (OPENVINO,)),
    "memory": Case(),
    "far": Case(needs=(S3_SERVER, Needs("worker", ("obstore",)))),
    "chunks": Case(),
}


def check_backends(names: Iterable[str], **where: Any) -> None:
    """Raises `BadArgument` where one cannot run: a package, Java or the cluster is missing.

    `where`: parameters of `fruits.Job`.
    """
    from fruits.job import Job
    from fruits.pipeline import backend_of

    for name in names:
        backend_of(Job(backend=name, **where))


def check_file(file: Path, ending: str) -> None:
    """Raises `BadArgument` where such a file cannot be written, or its name has another ending."""
    Target.at(str(file), ending)
    if file.exists() and not os.access(file, os.W_OK):
        raise BadArgument(
            f"{file} cannot be written: access denied",
            "give another file, or ask for the right to write it",
        )


def check_peers(python: Path) -> None:
    """Raises `BadArgument` where Ray Data and Daft cannot run by that Python."""
    command = [str(python), "-c", LOOK, *PEERS]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as failed:
        raise BadArgument(f"{python} does not run: {failed}", MAKE_PEERS) from failed
    if missing := ", ".join(ended.stdout.split()):
        raise BadArgument(f"{python}, of Ray Data and Daft, has no {missing}", MAKE_PEERS)
