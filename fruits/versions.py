"""Which Python, fruits and engines are where: of this process, and of the workers before they are given work."""

import os
import platform
import socket
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import fruits
from fruits.backend import GaveUp
from fruits.errors import RunFailed

if TYPE_CHECKING:
    from fruits.backend import Backend
    from fruits.model import Engine

# What decides the digits, besides fruits itself.
PACKAGES = ("numpy", "pillow", "pyarrow", "ai-edge-litert", "tensorflow", "tensorflow-cpu")
PACK = "check --environment; `python -m fruits pack` makes one of this Python"
KERAS_ONLY = ("tensorflow", "tensorflow-cpu")


def versions() -> dict[str, str]:
    """Of this process; what is not installed is left out. The engines' versions are in what the backend says of itself."""
    found = {"fruits": fruits.__version__, "python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def node_versions(_: int) -> tuple[str, dict[str, str]]:
    """The node on which this runs, as YARN calls it where there is YARN, and the versions there."""
    return os.environ.get("NM_HOST", socket.gethostname()), versions()


def check_nodes(backend: "Backend", engine: "Engine") -> None:
    """Raises `RunFailed` where the workers' Python, fruits, or a package that decides the digits is another than here."""
    here = versions()
    try:
        answers = list(backend.map(node_versions, range(2 * backend.workers)))
    except RunFailed as failed:
        raise RunFailed(f"a worker could not be asked for its versions: {failed.message}", PACK) from failed
    for answer in answers:
        if isinstance(answer, GaveUp):
            raise RunFailed(f"a worker could not be asked for its versions: {answer.cause}", PACK)
        node, there = answer
        differing = [
            f"{what} is {there.get(what, 'not installed')} there, {wanted} here"
            for what, wanted in here.items()
            if what != "platform" and there.get(what) != wanted and not (what in KERAS_ONLY and engine != "keras")
        ]
        if differing:
            raise RunFailed(
                f"the Python of node {node} is another than this one: {'; '.join(differing)}",
                PACK,
            )
