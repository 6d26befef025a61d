"""The report of a run: `report.json`, which is written last and names every file of the results."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from fruits.errors import BadArgument
from fruits.storage import WORK, Folder, StoredFile
from fruits.versions import versions

REPORT = "report.json"
PAGE = "report.html"
SCHEMA_VERSION = 1
# The order in which stages are reported. The listing runs before the session is opened, so that bad input is refused first.
STAGES = ("start", "list", "featurize", "fit", "project", "export", "page")


@dataclass(frozen=True)
class Stage:
    """`seconds` on the wall clock; `images` that the stage worked on."""

    name: str
    seconds: float
    images: int

    @property
    def rate(self) -> float | None:
        """Images a second."""
        return self.images / self.seconds if self.images and self.seconds else None


@dataclass(frozen=True)
class ImageCounts:
    """found = featurized + rejected. `reused`: those of them that an earlier run committed. `to_do`: the others, by why this run did them
    (new, changed, results damaged, rejected before). `vanished`: images of an earlier run that are no more, and left the results.
    `ignored`: files that are no images, by why.
    """

    found: int
    featurized: int
    rejected: int
    reused: int
    bytes: int
    ignored: dict[str, int]
    to_do: dict[str, int] = field(default_factory=dict)
    vanished: int = 0


@dataclass(frozen=True)
class WorkerShare:
    """What one worker process featurized in this run, or in the earlier ones whose chunks were reused.

    `node` and `container` as YARN calls them; elsewhere the host's name and None. `seconds` spent on chunks.
    """

    worker: str
    node: str
    container: str | None
    chunks: int
    images: int
    seconds: float


# Below this share of what it explained when it was fitted, a projection has grown old.
REFIT_BELOW = 0.95


@dataclass(frozen=True)
class Captured:
    """The share of variance that a given projection holds of `images` images (`pca.Spread.captured`).

    `new`: these are the images on which it was not fitted; False where it was fitted on all, and these are all. `when_fitted`: the share
    that it explained of the images on which it was fitted.
    """

    images: int
    new: bool
    share: float
    when_fitted: float
    refit_advised: bool

    @staticmethod
    def of(images: int, new: bool, share: float, when_fitted: float) -> "Captured":
        return Captured(images, new, share, when_fitted, share < REFIT_BELOW * when_fitted)

    def __str__(self) -> str:
        of = f"the {self.images} images on which it was not fitted" if self.new else f"all {self.images} images"
        text = f"the projection captures {self.share:.2%} of the variance of {of}; {self.when_fitted:.2%} when it was fitted"
        return f"{text}: fit a new one, this is below {REFIT_BELOW:.0%} of it" if self.refit_advised else text


@dataclass(frozen=True)
class RunReport:
    """What a run was and did.

    `explained_variance`: cumulative share by component. `fingerprint`: of the features, the projection and the images. `job`:
    every parameter. `captured`: of a projection that was given, how well it still fits. Times are ISO 8601 in UTC.
    """

    job: dict[str, Any]
    fingerprint: dict[str, str]
    model: dict[str, Any]
    backend: dict[str, Any]
    stages: list[Stage]
    images: ImageCounts
    rejected_by_reason: dict[str, int]
    labels: dict[str, int]
    explained_variance: list[float]
    workers: list[WorkerShare]
    started: str
    finished: str
    files: list[StoredFile]
    notes: list[str]
    linked_folders: list[str]
    captured: Captured | None = None
    versions: dict[str, str] = field(default_factory=versions)
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)

    @staticmethod
    def from_json(text: str | bytes) -> "RunReport":
        """Raises `ValueError`, `KeyError` or `TypeError` for what is no report of this schema."""
        content = json.loads(text)
        if content["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"it is of schema {content['schema_version']}")
        content["stages"] = [Stage(**stage) for stage in content["stages"]]
        content["images"] = ImageCounts(**content["images"])
        content["workers"] = [WorkerShare(**worker) for worker in content["workers"]]
        content["captured"] = Captured(**content["captured"]) if content.get("captured") else None
        content["files"] = [StoredFile(**file) for file in content["files"]]
        return RunReport(**content)

    @property
    def page(self) -> StoredFile | None:
        """None where an earlier version wrote the results, or it could not be made."""
        return next((file for file in self.files if file.name == PAGE), None)

    def files_in(self, folder: str) -> Iterator[StoredFile]:
        """The results' files in that folder, in the order of their first image."""
        return (file for file in self.files if file.name.startswith(folder + "/"))


def read_report(results: str) -> RunReport:
    """The report of a results folder; raises `BadArgument` where there is none that can be read."""
    folder = Folder(results)
    try:
        try:
            return RunReport.from_json(folder.read(REPORT))
        except (FileNotFoundError, NotADirectoryError) as missing:
            raise _without_report(folder) from missing
    except (ValueError, KeyError, TypeError) as fault:
        raise BadArgument(
            f"{results}/{REPORT} is no report of schema {SCHEMA_VERSION}, which this fruits reads: {fault}",
            "use the fruits that made it, or run again with --fresh",
        ) from fault
    except PermissionError as denied:
        raise BadArgument(f"{results} cannot be read: access denied", "ask for the right to read it") from denied
    except OSError as failed:
        raise BadArgument(f"{results} cannot be read: {failed.strerror or failed}", "check the path and the network") from failed


def _without_report(folder: Folder) -> BadArgument:
    """Why there is none, and what to do."""
    if not folder.exists():
        return BadArgument(f"there is no folder {folder.url}", "give the folder that was the --output of a run")
    if folder.names(WORK):
        return BadArgument(
            f"{folder.url} has no {REPORT}: a run has begun there and has not come to its end",
            "the same command as before goes on where it stopped",
        )
    return BadArgument(f"{folder.url} has no {REPORT}: no run has been completed there", "give the folder that was the --output of a run")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
