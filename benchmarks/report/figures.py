"""The numbers on the page, each computed from the raw measurements of a study."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.scaling import Estimate, Fit, NotEnough, Spread, fit_amdahl, fit_time, fit_usl, spread
from fruits import report
from fruits.dummies import NOTHING, READ

LEAST_IDLE = 0.20
FITTED_UP_TO = 16
CHECK = 0.10  # what a model may be off where it was not fitted
STAGES = [name for name in report.STAGES if name != "start"]  # which is measured apart


@dataclass(frozen=True)
class Cell:
    """A backend with so many images and workers. `whole`: seconds of the start and all stages; `stages`, `rate` (images a second of the
    features stage) and `memory` (bytes, the largest process of a kind)."""

    backend: str
    workers: int
    images: int
    whole: Spread
    stages: Mapping[str, Spread]
    rate: Spread
    memory: Mapping[str, float]
    failed: int


@dataclass(frozen=True)
class Parts:
    """Median seconds of the features stage of a backend at the largest size with most workers, in three: what it takes with
    `fruits.dummies.NOTHING`, what reading and decoding the images adds to that, and what the network adds."""

    backend: str
    writing: float
    reading: float
    computing: float


@dataclass(frozen=True, kw_only=True)
class Check:
    """What a model `predicted` where it was not fitted, and what was `measured` there."""

    predicted: float
    measured: float

    @property
    def off(self) -> float:
        return self.predicted / self.measured - 1

    @property
    def holds(self) -> bool:
        return abs(self.off) <= CHECK


@dataclass(frozen=True, kw_only=True)
class TimeModel(Check):
    """Seconds over images of a backend at most workers. `fit`: over all sizes. The check: fitted without the largest size, `predicted` of
    it against what was `measured` there."""

    backend: str
    workers: int
    fit: Fit
    images: int


@dataclass(frozen=True)
class SpeedUp:
    """Of the features stage, rates at `workers` against one: `strong`, both at the largest size; `weak`, one worker at the share of the
    largest size that each of `workers` has, or None where that was not measured. `efficiency`: strong by the number of workers."""

    backend: str
    workers: int
    strong: float
    weak: float | None

    @property
    def efficiency(self) -> float:
        return self.strong / self.workers


@dataclass(frozen=True)
class PlanePoint:
    """A backend with so many workers that sleep: images a second, and the least share of the processor that was idle."""

    backend: str
    workers: int
    rate: Spread
    idle: float

    @property
    def usable(self) -> bool:
        """Whether the engine was what limited, and not this machine."""
        return self.idle >= LEAST_IDLE


@dataclass(frozen=True, kw_only=True)
class PlaneModel(Check):
    """The USL fitted to the usable points of a backend up to `FITTED_UP_TO` workers, and the check of the `law` that it leaves: the rate
    that this `predicted` at the most workers that are usable, against what was `measured` there. `serial`: Amdahl's, of all usable points.

    The law is the USL where its coherency is above 0 by its interval, else Amdahl's, which is the USL without one: a coherency that cannot
    be told from none, or a negative one, which there is not, grows with the square of the workers and would decide all that is predicted.
    """

    backend: str
    fit: Fit
    law: Fit
    workers: int
    serial: Estimate


def starts(study: Mapping[str, Any]) -> dict[str, Spread]:
    by_backend: dict[str, list[float]] = defaultdict(list)
    for start in study["starts"]:
        by_backend[start["backend"]].append(start["seconds"])
    return {name: spread(seconds) for name, seconds in by_backend.items()}


def parts(study: Mapping[str, Any]) -> list[Parts]:
    """None of a backend of which one of the three was not measured."""
    found = []
    for cell in largest(cells(study)):
        runs = [one for one in study.get("isolated", []) if one["backend"] == cell.backend and "failed" not in one]
        alone = [[one["seconds"] for one in runs if one["engine"] == engine] for engine in (READ, NOTHING)]
        if all(alone):
            reading, writing = (spread(seconds).median for seconds in alone)
            found.append(Parts(cell.backend, writing, reading - writing, cell.stages["featurize"].median - reading))
    return found


def cells(study: Mapping[str, Any]) -> list[Cell]:
    """In the order of backend, workers, images. A cell of which every run failed has no figures, and is not among them: see `failures`."""
    begin, found = starts(study), []
    for (backend, workers, asked), runs in _grouped(study).items():
        good = [run for run in runs if "failed" not in run]
        if not good:
            continue
        stages = {name: spread([run["stages"][name] for run in good]) for name in STAGES if name in good[0]["stages"]}
        found.append(
            Cell(
                backend,
                workers,
                asked,
                spread([begin[backend].median + sum(run["stages"].values()) for run in good]),
                stages,
                spread([run["images"] / run["stages"]["featurize"] for run in good]),
                {kind: max(run["memory"].get(kind, 0) for run in good) for kind in sorted({k for run in good for k in run["memory"]})},
                len(runs) - len(good),
            )
        )
    return found


def failures(study: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [run for run in study["runs"] if "failed" in run]


def _grouped(study: Mapping[str, Any]) -> dict[tuple[str, int, int], list[Mapping[str, Any]]]:
    grouped: dict[tuple[str, int, int], list[Mapping[str, Any]]] = defaultdict(list)
    for run in sorted(study["runs"], key=lambda run: (run["backend"], run["workers"], run["asked"], run["repeat"])):
        grouped[run["backend"], run["workers"], run["asked"]].append(run)
    return grouped


def largest(of: Iterable[Cell]) -> list[Cell]:
    """Of each backend the cell of most images and workers."""
    by_backend: dict[str, Cell] = {}
    for cell in of:
        before = by_backend.get(cell.backend)
        if before is None or (cell.workers, cell.images) > (before.workers, before.images):
            by_backend[cell.backend] = cell
    return list(by_backend.values())


def time_models(study: Mapping[str, Any]) -> list[TimeModel]:
    """Of each backend for which there are three sizes or more."""
    found = []
    for cell in largest(cells(study)):
        runs = [run for run in study["runs"] if (run["backend"], run["workers"]) == (cell.backend, cell.workers) and "failed" not in run]
        start = starts(study)[cell.backend].median
        images = [run["images"] for run in runs]
        seconds = [start + sum(run["stages"].values()) for run in runs]
        few = [(n, s) for n, s in zip(images, seconds, strict=True) if n < max(images)]
        try:
            fitted = fit_time(*map(list, zip(*few, strict=True))) if few else None
            whole = fit_time(images, seconds)
        except NotEnough:
            continue
        if fitted:
            found.append(
                TimeModel(
                    backend=cell.backend,
                    workers=cell.workers,
                    fit=whole,
                    images=cell.images,
                    predicted=float(fitted(max(images))),
                    measured=cell.whole.median,
                )
            )
    return found


def speed_ups(study: Mapping[str, Any]) -> list[SpeedUp]:
    rates = {(cell.backend, cell.workers, cell.images): cell.rate.median for cell in cells(study)}
    most = max(images for _, _, images in rates)

    def weak(backend: str, workers: int) -> float | None:
        one = rates.get((backend, 1, most // workers))
        return rates[backend, workers, most] / one if one and most % workers == 0 else None

    return [
        SpeedUp(backend, workers, rate / rates[backend, 1, most], weak(backend, workers))
        for (backend, workers, images), rate in rates.items()
        if images == most and (backend, 1, most) in rates
    ]


def plane_points(plane: Mapping[str, Any]) -> list[PlanePoint]:
    """In the order of backend and workers; those of which every repeat failed are not among them."""
    grouped: dict[tuple[str, int], list[Mapping[str, Any]]] = defaultdict(list)
    for point in plane["points"]:
        if "failed" not in point:
            grouped[point["backend"], point["workers"]].append(point)
    return [
        PlanePoint(backend, workers, spread([point["rate"] for point in points]), min(point["idle"] for point in points))
        for (backend, workers), points in sorted(grouped.items())
    ]


def plane_models(plane: Mapping[str, Any]) -> list[PlaneModel]:
    """Of each backend with enough usable points to fit and at least one beyond them."""
    found = []
    points = plane_points(plane)
    for backend in plane["plan"]["backends"]:
        usable = {point.workers: point for point in points if point.backend == backend and point.usable}
        if not usable or not min(usable) <= FITTED_UP_TO < max(usable):
            continue
        most = max(usable)
        of = [
            (p["workers"], p["rate"]) for p in plane["points"] if "failed" not in p and p["backend"] == backend and p["workers"] in usable
        ]
        few = _columns([(workers, rate) for workers, rate in of if workers <= FITTED_UP_TO])
        try:
            fit = fit_usl(*few)
            law = fit if fit["coherency"].low > 0 else fit_amdahl(*few)
            serial = fit_amdahl(*_columns(of))["serial"]
        except NotEnough:
            continue
        found.append(
            PlaneModel(
                backend=backend,
                fit=fit,
                law=law,
                workers=most,
                predicted=float(law(most)),
                measured=usable[most].rate.median,
                serial=serial,
            )
        )
    return found


def _columns(of: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [one for one, _ in of], [other for _, other in of]


def task_seconds(plane: Mapping[str, Any]) -> dict[str, float]:
    """Of each backend, for a task that does nothing, where most of them are done at a time: what its scheduler alone needs at most."""
    by_backend: dict[str, list[float]] = defaultdict(list)
    for of in plane["tasks"]:
        if "failed" not in of:
            by_backend[of["backend"]].append(of["seconds"] / of["tasks"])
    return {name: min(seconds) for name, seconds in by_backend.items()}
