"""The projection from features to principal components: the same numbers whichever engine fitted it.

x -> ((x - mean) * scale) @ components.T, or without the mean where Spark's own `PCAModel.transform` is to be matched: it fits on centred
data, but projects without subtracting the mean (mllib/feature/PCA.scala).
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from fruits.errors import BadArgument
from fruits.model import FEATURES

if TYPE_CHECKING:
    import numpy.typing as npt

    Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """Sums over images: of the squared distances from the mean, and of those within the components."""

    images: int = 0
    total: float = 0.0
    within: float = 0.0

    def __add__(self, other: "Spread") -> "Spread":
        return Spread(self.images + other.images, self.total + other.total, self.within + other.within)

    @property
    def captured(self) -> float:
        """The share of variance that the components hold; with no variance there is nothing that they could miss.

        1 - sum |z - z C'C|^2 / sum |z|^2, with z = (x - mean) * scale and C the components, which are orthonormal, so that it is
        sum |z C'|^2 / sum |z|^2. The mean is the one that was fitted, also for other images: where these lie elsewhere, as far as no
        component points there, that counts as lost. Of the images that were fitted it is the explained variance.
        """
        return self.within / self.total if self.total else 1.0


@dataclass(frozen=True)
class FittedAxes:
    """What a backend's PCA found, in the backend's own signs.

    mean, scale [1280]: scale is 1, or 1 / standard deviation (n - 1) and 0 for a constant feature. components [k, 1280]: orthonormal, by
    falling variance. explained [k]: the share of the total variance of each.
    """

    mean: "Vector"
    scale: "Vector"
    components: "Vector"
    explained: "Vector"

    def orthonormal(self) -> bool:
        """Whether the components are what a PCA must return. A solver that failed without saying so shows here."""
        return bool(np.allclose(self.components @ self.components.T, np.eye(len(self.components)), atol=1e-6))

    def squares(self, features: "npt.NDArray[Any]") -> "Vector":
        """[k + 1]: of features [n, 1280] the sums of the squared distances from the mean along each component, and of the whole ones."""
        scaled = (features - self.mean) * self.scale
        return np.append(np.square(scaled @ self.components.T).sum(axis=0), np.square(scaled).sum())

    def explain(self, squares: "Vector") -> bool:
        """Whether the images that were fitted, with `squares` summed over all of them, vary along each component as `explained` says."""
        expected = np.nan_to_num(self.explained, nan=0.0) * squares[-1]
        return bool(np.allclose(squares[:-1], expected, rtol=1e-6, atol=1e-9 * squares[-1]))


@dataclass(frozen=True)
class Projection(FittedAxes):
    """Fitted axes in one convention. `fitted_on`: which features they come from.

    The sign of each component is such that its entry of the largest absolute value is positive.
    """

    fitted_on: Mapping[str, Any]

    @staticmethod
    def of(axes: FittedAxes, share: float | None, fitted_on: Mapping[str, Any]) -> "Projection":
        """One sign rule; with `share` only as many components as explain that share of the variance."""
        # Images that are all alike have no variance, of which every share is 0 / 0.
        explained = np.nan_to_num(axes.explained, nan=0.0)
        k = len(explained) if share is None else min(int(np.searchsorted(np.cumsum(explained), share)) + 1, len(explained))
        components = axes.components[:k]
        largest = components[np.arange(k), np.abs(components).argmax(axis=1)]
        return Projection(axes.mean, axes.scale, components * np.where(largest < 0, -1.0, 1.0)[:, None], explained[:k], fitted_on)

    @property
    def offset(self) -> "Vector":
        """[k]: pca_features without the mean subtracted, less this, are those with."""
        product: Vector = (self.mean * self.scale) @ self.components.T
        return product

    def apply(self, features: "npt.NDArray[np.float32]", uncentred: bool) -> "npt.NDArray[np.float32]":
        """[n, 1280] to [n, k], computed in float64."""
        centred = features.astype(np.float64) if uncentred else features - self.mean
        projected = (centred * self.scale) @ self.components.T
        return np.ascontiguousarray(projected, np.float32)

    def spread(self, features: "npt.NDArray[np.float32]") -> "Spread":
        """How far features [n, 1280] lie from the mean that was fitted, and how much of that the components hold, in float64."""
        squares = self.squares(features)
        return Spread(len(features), float(squares[-1]), float(squares[:-1].sum()))

    @cached_property
    def npz(self) -> bytes:
        """What `projection.npz` holds; the same projection gives the same bytes."""
        buffer = io.BytesIO()
        np.savez(
            buffer,
            mean=self.mean,
            scale=self.scale,
            components=self.components,
            explained_variance_ratio=self.explained,
            offset=self.offset,
            fitted_on=np.array(json.dumps(self.fitted_on, sort_keys=True)),
        )
        return buffer.getvalue()

    @staticmethod
    def from_npz(data: bytes, name: str) -> "Projection":
        """Raises `BadArgument` for what `npz` did not make."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as stored:
                projection = Projection(
                    stored["mean"],
                    stored["scale"],
                    stored["components"],
                    stored["explained_variance_ratio"],
                    json.loads(str(stored["fitted_on"])),
                )
        except (ValueError, KeyError, OSError, EOFError, BadZipFile) as fault:
            raise BadArgument(f"{name} is no projection: {fault}", "give the projection.npz of a results folder") from fault
        k = len(projection.explained)
        if projection.components.shape != (k, FEATURES) or projection.mean.shape != (FEATURES,) or projection.scale.shape != (FEATURES,):
            raise BadArgument(f"{name} does not project {FEATURES} features", "give the projection.npz of a results folder")
        return projection


def unit_scale(mean: "Vector", deviation: "Vector") -> "Vector":
    """1 / deviation, and 0 for a constant feature, as Spark's StandardScaler.

    A constant is one whose deviation is only the rounding of float64 sums: data of float32 vary by 6e-8 of their size or not at all.
    """
    constant = deviation <= 1e-13 * np.abs(mean)
    return np.divide(1.0, deviation, out=np.zeros_like(deviation), where=~constant)
