"""An image from anywhere, made into numbers as the run of a results folder made its own: one core, and that run's limits and engine."""

from typing import TYPE_CHECKING

from fruits import dummies
from fruits.decode import Reason, Rejected, decode
from fruits.errors import BadArgument
from fruits.lookup import entry_of
from fruits.machine import multiplies_bfloat16
from fruits.model import GRAPH, MODEL_NAME, PREPROCESSING, WEIGHTS, Network, network
from fruits.report import RunReport
from fruits.storage import Folder

if TYPE_CHECKING:
    from fruits.model import Pixels

# What a listing would have seen.
_FAULTS = {
    Reason.NOT_FOUND: "there is no such file",
    Reason.ACCESS_DENIED: "no right to read it",
    Reason.NOT_A_FILE: "a folder, a pipe or a device",
    Reason.BAD_NAME: "the name is not UTF-8",
}


class Photos:
    """Reads and decodes, within the limits of a run."""

    def __init__(self, report: RunReport) -> None:
        self._max_pixels, self._max_file_bytes = report.job["max_pixels"], report.job["max_file_bytes"]

    def pixels(self, url: str) -> "Pixels":
        """RGB bytes [224, 224, 3] of the file at a normalized URL.

        Raises `Rejected` with the reason that a run would have, and `BadArgument` for what is no fault of this file.
        """
        parent, _, name = url.rpartition("/")
        folder = Folder(parent or "/")
        try:
            _, size, _, fault = entry_of(folder, name)
            if fault:
                raise Rejected(Reason(fault), _FAULTS[Reason(fault)])
            if size > self._max_file_bytes:
                raise Rejected(Reason.TOO_LARGE, f"{size} bytes, the limit of the run was {self._max_file_bytes}")
            data = folder.read(name)
        except (FileNotFoundError, PermissionError, IsADirectoryError) as fault_of_this:
            reason = {FileNotFoundError: Reason.NOT_FOUND, PermissionError: Reason.ACCESS_DENIED}.get(
                type(fault_of_this), Reason.NOT_A_FILE
            )
            raise Rejected(reason, _FAULTS[reason]) from fault_of_this
        except OSError as failed:
            raise BadArgument(f"{url} cannot be read: {failed.strerror or failed}", "check the path and the network") from failed
        return decode(data, self._max_pixels)


def network_of(report: RunReport) -> Network:
    """The engine that made the results. Raises `BadArgument` where this installation or this machine does not make the same features, and
    `MissingPackage` where the engine is not installed."""
    check_model(report)
    engine, precision = report.model["engine"], report.model["precision"]
    if precision == "bfloat16" and not multiplies_bfloat16():
        raise BadArgument(
            "the results are of bfloat16, for which this machine's processor has neither AVX512-BF16 nor AMX",
            "use a machine that has one of these",
        )
    return network(engine, precision)


def check_model(report: RunReport) -> None:
    """Raises `BadArgument` unless this installation has the network that made the results."""
    made = report.model
    if dummies.is_dummy(made["engine"]):
        raise BadArgument(f"the results were made by {made['engine']!r}, which looks at no image", "run again without that engine")
    here = {"name": MODEL_NAME, "weights_sha256": WEIGHTS.sha256, "preprocessing": PREPROCESSING}
    if made["engine"] != "keras":
        here["graph_sha256"] = GRAPH.sha256
    for what, own in here.items():
        if made[what] != own:
            raise BadArgument(
                f"the results were made with another {what}: {made[what]!r}, this fruits has {own!r}",
                f"use fruits {report.versions.get('fruits')}, which made them, or run again with --fresh",
            )
