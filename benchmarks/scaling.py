"""What measured times say of more images and more workers: fits with intervals, and what they predict.

Sources: G. Amdahl, "Validity of the single processor approach to achieving large scale computing capabilities", AFIPS 1967; N. Gunther,
"A general theory of computational scalability based on rational functions", arXiv:0808.1431 (the universal scalability law, USL).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

CONFIDENCE = 0.95
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """`low` and `high`: of the points. `interval`: of the median, by order statistics, which hold for any distribution; None below 6
    points, of which no two cover the median with 95 %.
    """

    median: float
    low: float
    high: float
    points: int
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Estimate:
    """A fitted parameter and its interval: Student's t on the fit's covariance. May be below 0 where noise is larger than the effect."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Fit:
    """`estimates` of the parameters of `function`, by name."""

    estimates: dict[str, Estimate]
    function: Callable[..., Any]

    def __call__(self, *at: Any) -> Any:
        """The function with the fitted parameters."""
        return self.function(*at, *(estimate.value for estimate in self.estimates.values()))

    def __getitem__(self, name: str) -> Estimate:
        return self.estimates[name]


class NotEnough(Exception):
    """Points that do not determine a fit, in words."""


def spread(points: Sequence[float]) -> Spread:
    interval = stats.quantile_test(points, q=0, p=0.5).confidence_interval(CONFIDENCE)
    known = not np.isnan([interval.low, interval.high]).any()
    median = float(np.median(points))
    return Spread(median, min(points), max(points), len(points), (float(interval.low), float(interval.high)) if known else None)


def amdahl(workers: Any, serial: Any) -> Any:
    """Speed-up of so many workers where the share `serial` of the work of one is done by one alone."""
    return 1 / (serial + (1 - serial) / workers)


def usl(workers: Any, contention: Any, coherency: Any) -> Any:
    """Speed-up by the universal scalability law: `contention` is Amdahl's serial share, `coherency` what each pair of workers costs."""
    return workers / (1 + contention * (workers - 1) + coherency * workers * (workers - 1))


def peak(fit: Fit) -> float | None:
    """The number of workers above which a USL fit grows slower with each more; None where it has no such point (Gunther's eq. 9)."""
    contention, coherency = fit["contention"].value, fit["coherency"].value
    return float(np.sqrt((1 - contention) / coherency)) if coherency > 0 and contention < 1 else None


def fit_amdahl(workers: Sequence[float], rates: Sequence[float]) -> Fit:
    """Rates (work a second) by the number of workers: `one` (the rate of one worker) and `serial`. Raises `NotEnough`."""
    return _fit(lambda w, one, serial: one * amdahl(w, serial), workers, rates, {"one": rates[0] / workers[0], "serial": 0.01})


def fit_usl(workers: Sequence[float], rates: Sequence[float]) -> Fit:
    """The same: `one`, `contention` and `coherency`. Raises `NotEnough`."""
    start = {"one": rates[0] / workers[0], "contention": 0.01, "coherency": 0.0001}
    return _fit(lambda w, one, contention, coherency: one * usl(w, contention, coherency), workers, rates, start)


def fit_time(images: Sequence[float], seconds: Sequence[float]) -> Fit:
    """Seconds of a run by its number of images, at the same workers: `fixed` (s) and `image` (s each). Raises `NotEnough`."""
    image = max(seconds) / max(images)
    return _fit(lambda n, fixed, image: fixed + n * image, images, seconds, {"fixed": min(seconds) / 2, "image": image})


def _fit(function: Callable[..., Any], at: Sequence[float], values: Sequence[float], start: dict[str, float]) -> Fit:
    """Least squares of relative deviations: a run's time is off by a share of itself, not by so many seconds."""
    points = np.asarray(at, float)
    measured = np.asarray(values, float)
    distinct = len(np.unique(points))
    if distinct < len(start):
        raise NotEnough(f"{', '.join(start)} cannot be fitted to measurements at {distinct} points: {len(start)} are needed")
    free = len(measured) - len(start)
    if free < 1:
        raise NotEnough(f"{', '.join(start)} fitted to {len(measured)} measurements would have no interval: one more is needed")

    def relative(_: Any, *parameters: float) -> Floats:
        ratio: Floats = np.asarray(function(points, *parameters) / measured, float)
        return ratio

    found, covariance = optimize.curve_fit(relative, measured, np.ones_like(measured), p0=list(start.values()))
    off = stats.t.ppf((1 + CONFIDENCE) / 2, free) * np.sqrt(np.diag(covariance))
    estimates = {name: Estimate(float(v), float(v - o), float(v + o)) for name, v, o in zip(start, found, off, strict=True)}
    return Fit(estimates, function)
