"""A backend without an engine: the oracle of the conformance suite, and the smallest example of what a backend is."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import numpy as np
from sklearn.decomposition import PCA

from fruits.backend import Item, Result, Settings, Workers
from fruits.errors import BadArgument
from fruits.features import read_features
from fruits.pca import FittedAxes, unit_scale


class Here:
    """A session of it: nothing but this process."""


class InProcessBackend:
    name = "inprocess"
    workers = 1
    remote = False

    def __init__(self, settings: Settings) -> None:
        if settings.cluster != "local" or settings.workers not in (None, Workers(1, 1)) or settings.options:
            raise BadArgument("this backend is one process", "give neither cluster, workers nor options")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        # From the end, because results may come in any order.
        return (function(item) for item in reversed(items))

    def fit(self, features: Sequence[tuple[str, int]], k: int, standardize: bool) -> FittedAxes:
        x = read_features([url for url, _ in features])
        mean = x.mean(axis=0)
        scale = unit_scale(mean, x.std(axis=0, ddof=1)) if standardize else np.ones(x.shape[1])
        with np.errstate(invalid="ignore"):  # images that are all alike have no variance to share
            pca = PCA(n_components=k, svd_solver="full").fit(x * scale)
        return FittedAxes(mean, scale, pca.components_, pca.explained_variance_ratio_)

    def describe(self) -> dict[str, Any]:
        return {"name": self.name, "cluster": "local", "workers": 1, "versions": {}, "configuration": {}}
