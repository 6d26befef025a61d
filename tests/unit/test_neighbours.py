import numpy as np
from sklearn.neighbors import NearestNeighbors

from fruits.neighbours import NONE, nearest

RANDOM = np.random.default_rng(9)


def test_the_neighbours_are_those_of_scikit_learn() -> None:
    vectors, queries = (RANDOM.normal(50, 3, (n, 16)).astype(np.float32) for n in (3000, 1700))
    found = nearest(queries, vectors, 7)
    distances, indices = NearestNeighbors(n_neighbors=7, algorithm="brute").fit(vectors.astype(float)).kneighbors(queries.astype(float))
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-9)


def test_near_duplicates_far_from_the_rest_are_told_apart() -> None:
    """In float32 the distances within a cluster are lost in its distance from the middle."""
    clusters = RANDOM.normal(0, 100, (30, 64))
    vectors = (clusters[RANDOM.integers(0, 30, 1500)] + RANDOM.normal(0, 1e-3, (1500, 64))).astype(np.float64)
    own = np.arange(1500)
    found = nearest(vectors, vectors, 5, (own, own))
    direct = np.sort(np.linalg.norm(vectors[:200, None, :] - vectors[None, :, :], axis=2), axis=1)[:, 1:6]
    np.testing.assert_allclose(found.distances[:200], direct, rtol=1e-9)


def test_a_group_is_left_out_as_if_it_were_not_there() -> None:
    vectors, groups = RANDOM.normal(size=(300, 8)), RANDOM.integers(0, 12, 300)
    found = nearest(vectors, vectors, 5, (groups, groups))
    for query, group in enumerate(groups):
        others = np.flatnonzero(groups != group)
        distances, at = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(vectors[others]).kneighbors(vectors[[query]])
        np.testing.assert_array_equal(found.indices[query], others[at[0]])
        np.testing.assert_allclose(found.distances[query], distances[0], rtol=1e-9)


def test_of_equal_vectors_the_first_comes_first_at_distance_nought() -> None:
    vectors = np.repeat(RANDOM.normal(1e4, 1, (1, 8)), 6, axis=0).astype(np.float32)
    rows = np.arange(6)
    found = nearest(vectors, vectors, 3, (rows, rows))
    assert found.indices.tolist() == [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2], [0, 1, 2], [0, 1, 2]]
    assert not found.distances.any()


def test_where_too_few_are_left_there_is_none() -> None:
    vectors = np.array([[0.0], [1.0], [5.0]], np.float32)
    groups = np.array([0, 0, 1])
    found = nearest(vectors, vectors, 2, (groups, groups))
    assert found.indices.tolist() == [[2, NONE], [2, NONE], [1, 0]]
    assert found.distances.tolist() == [[5, np.inf], [4, np.inf], [4, 5]]
    assert nearest(vectors, vectors[:0], 1).indices.tolist() == [[NONE]] * 3
