"""Nearest neighbours by Euclidean distance, by comparing all with all: exact, in bounded memory, with numpy alone."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

NONE = -1  # the index where there are fewer neighbours than were asked for

_BLOCK = 4_000_000  # distances at a time, of 8 bytes
# So many more than were asked for are compared at full precision: what the fast formula rounds may be in another order.
_SPARE = 8


class Neighbours(NamedTuple):
    """Of n queries the k nearest vectors, the nearest first, and those equally far in the vectors' order.

    indices [n, k]: rows of the vectors, `NONE` where there is none. distances [n, k]: Euclidean, in the vectors' units, then infinite.
    """

    indices: "npt.NDArray[np.int64]"
    distances: "npt.NDArray[np.float64]"


def nearest(
    queries: "npt.NDArray[np.floating]",
    vectors: "npt.NDArray[np.floating]",
    k: int,
    excluded: "tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]] | None" = None,
) -> Neighbours:
    """The k nearest of vectors [m, width] to each of queries [n, width].

    `excluded`: a group of each query [n] and of each vector [m]; a vector is no neighbour of a query of its own group. Where the queries
    are the vectors, `(rows, rows)` with `rows = numpy.arange(n)` leaves out each one itself. k may be more than m.
    """
    n, m = len(queries), len(vectors)
    indices = np.full((n, k), NONE, np.int64)
    distances = np.full((n, k), np.inf)
    if not m:
        return Neighbours(indices, distances)
    # |q - v|^2 = |q|^2 - 2 q.v + |v|^2 loses digits far from the origin, and distances do not depend on it.
    centre = vectors.mean(axis=0, dtype=np.float64)
    vectors, queries = vectors - centre, queries - centre
    squares, factors = np.square(vectors).sum(axis=1), -2 * vectors.T
    candidates = min(k + _SPARE, m)
    step = max(1, _BLOCK // m)
    for start in range(0, n, step):
        block = queries[start : start + step]
        near = block @ factors
        near += squares  # |q|^2, the same for all of a row, is left out
        if excluded is not None:
            near[excluded[0][start : start + step, None] == excluded[1][None, :]] = np.inf
        rows = np.arange(len(block))[:, None]
        # In the vectors' order, so that the stable sort below leaves those equally far in it.
        chosen = np.sort(np.argpartition(near, candidates - 1, axis=1)[:, :candidates], axis=1)
        apart = vectors[chosen]
        apart -= block[:, None, :]
        exact = np.sqrt(np.einsum("qcw,qcw->qc", apart, apart))
        exact[np.isinf(near[rows, chosen])] = np.inf
        order = np.argsort(exact, axis=1, kind="stable")[:, :k]
        chosen, exact = chosen[rows, order], exact[rows, order]
        stop, found = start + len(block), order.shape[1]
        indices[start:stop, :found] = np.where(np.isinf(exact), NONE, chosen)
        distances[start:stop, :found] = exact
    return Neighbours(indices, distances)
