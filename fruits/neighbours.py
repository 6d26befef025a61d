"""Nearest neighbours by Euclidean distance, by comparing all with all: exact, in bounded memory, with numpy alone."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

NONE = -1  # the index where there are fewer neighbours than were asked for

_BLOCK = 8_000_000  # distances at a time, of 4 bytes
_SPARE = 8  # so many more than were asked for are compared at full precision
_ROUNDING = 2.0**-24  # of float32


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
    if not m or not k:
        return Neighbours(indices, distances)
    # |q - v|^2 = |q|^2 - 2 q.v + |v|^2 loses digits far from the origin, and distances do not depend on it.
    centre = vectors.mean(axis=0, dtype=np.float64)
    placed: npt.NDArray[np.float64] = vectors - centre
    asked: npt.NDArray[np.float64] = queries - centre
    squares, of_queries = (np.einsum("nw,nw->n", of, of) for of in (placed, asked))
    fast, fast_squares = np.float32(-2) * placed.T.astype(np.float32), squares.astype(np.float32)
    # What float32 may make of it at most: Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.1.
    error = (vectors.shape[1] + 4) * _ROUNDING * np.square(np.sqrt(of_queries) + np.sqrt(squares.max()))
    step = max(1, _BLOCK // m)
    for start in range(0, n, step):
        rows = np.arange(start, min(start + step, n))
        near = asked[rows].astype(np.float32) @ fast
        near += fast_squares  # |q|^2, the same for all of a row, is left out
        found, furthest = _nearest_of(near, asked, placed, rows, k, excluded)
        # Those not compared are further than that by the fast formula; where its rounding leaves a doubt, the row is done again.
        doubtful = np.square(found.distances[:, -1]) - of_queries[rows] > furthest - error[rows]
        indices[rows, : found.indices.shape[1]], distances[rows, : found.indices.shape[1]] = found
        for again in np.array_split(rows[doubtful], -(-2 * int(doubtful.sum()) // step) or 1):
            found, _ = _nearest_of(squares - 2 * (asked[again] @ placed.T), asked, placed, again, k, excluded)
            indices[again, : found.indices.shape[1]], distances[again, : found.indices.shape[1]] = found
    return Neighbours(indices, distances)


def _nearest_of(
    near: "npt.NDArray[np.floating]",
    queries: "npt.NDArray[np.float64]",
    vectors: "npt.NDArray[np.float64]",
    rows: "npt.NDArray[np.int64]",
    k: int,
    excluded: "tuple[npt.NDArray[np.integer], npt.NDArray[np.integer]] | None",
) -> tuple[Neighbours, "npt.NDArray[np.floating]"]:
    """Of the queries in these rows the at most k nearest, and what `near` says of the furthest that was compared.

    `near` [rows, m]: what grows with the distance, from which the candidates are chosen; overwritten.
    """
    if excluded is not None:
        near[excluded[0][rows, None] == excluded[1][None, :]] = np.inf
    each, candidates = np.arange(len(rows))[:, None], min(k + _SPARE, len(vectors))
    # In the vectors' order, so that the stable sort below leaves those equally far in it.
    chosen = np.sort(np.argpartition(near, candidates - 1, axis=1)[:, :candidates], axis=1)
    furthest = near[each, chosen].max(axis=1) if candidates < len(vectors) else np.full(len(rows), np.inf)
    apart = vectors[chosen]
    apart -= queries[rows, None, :]
    distances = np.sqrt(np.einsum("qcw,qcw->qc", apart, apart))
    distances[np.isinf(near[each, chosen])] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    chosen, distances = chosen[each, order], distances[each, order]
    return Neighbours(np.where(np.isinf(distances), NONE, chosen), distances), furthest
