"""The packages that a command needs, looked for before it does anything."""

from importlib.util import find_spec
from typing import NamedTuple

from fruits.errors import MissingPackage


class Needs(NamedTuple):
    """Packages, by the names under which they are imported, and the extra that brings them."""

    extra: str
    packages: tuple[str, ...]


# What every command of `fruits` imports beside an engine.
WORKER = Needs("worker", ("numpy", "PIL", "pyarrow", "threadpoolctl"))


def check_packages(what: str, *needs: Needs) -> None:
    """Raises `MissingPackage` for the first that is not installed; imports none of them.

    `what`: who needs them, in words.
    """
    for extra, packages in needs:
        for package in packages:
            if find_spec(package) is None:
                raise MissingPackage(f"{what} cannot run: the package {package}", extra)
