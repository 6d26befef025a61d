"""Which Python, fruits and engines are where: of this process, and of the workers before they are given work."""

import os
import platform
import socket
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import fruits
from fruits.backend import GaveUp
from fruits.errors import RunFailed
from fruits.machine import multiplies_bfloat16

if TYPE_CHECKING:
    from fruits.backend import Backend
    from fruits.model import Engine, Precision

# What decides the digits, besides fruits itself.
PACKAGES = ("numpy", "pillow", "pyarrow", "ai-edge-litert", "tensorflow", "tensorflow-cpu", "openvino")
PACK = "check --environment; `python -m fruits pack` makes one of this Python"
# The engine that alone needs a package.
ONLY = {"tensorflow": "keras", "tensorflow-cpu": "keras", "openvino": "openvino"}


def versions() -> dict[str, str]:
    """Of this process; what is not installed is left out. The engines' versions are in what the backend says of itself."""
    found = {"fruits": fruits.__version__, "python": platform.python_version(), "platform": platform.platform()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def node_versions(_: int) -> tuple[str, dict[str, str], bool]:
    """The node on which this runs, as YARN calls it where there is YARN, the versions there, and whether its processor has bfloat16."""
    return os.environ.get("NM_HOST", socket.gethostname()), versions(), multiplies_bfloat16()


def check_nodes(backend: "Backend", engine: "Engine", precision: "Precision") -> None:
    """Raises `RunFailed` where the workers' Python, fruits, or a package that decides the digits is another than here, or where their
    processors do not have the precision."""
    here = versions()
    try:
        answers = list(backend.map(node_versions, range(2 * backend.workers)))
    except RunFailed as failed:
        raise RunFailed(f"a worker could not be asked for its versions: {failed.message}", PACK) from failed
    for answer in answers:
        if isinstance(answer, GaveUp):
            raise RunFailed(f"a worker could not be asked for its versions: {answer.cause}", PACK)
        node, there, bfloat16 = answer
        differing = [
            f"{what} is {there.get(what, 'not installed')} there, {wanted} here"
            for what, wanted in here.items()
            if what != "platform" and there.get(what) != wanted and ONLY.get(what, engine) == engine
        ]
        if differing:
            raise RunFailed(
                f"the Python of node {node} is another than this one: {'; '.join(differing)}",
                PACK,
            )
        if precision == "bfloat16" and not bfloat16:
            raise RunFailed(
                f"--precision bfloat16: the processor of node {node} has neither AVX512-BF16 nor AMX",
                "leave out --precision, or use nodes that have one of these",
            )
