"""The accuracy, against scikit-learn's brute force and by hand."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from conftest import SAMPLE
from fruits.neighbours import nearest
from fruits.quality import Accuracy, Quality, judge, series

RANDOM = np.random.default_rng(4)


def made(labels: int = 9, images: int = 24) -> tuple[np.ndarray, list[str], list[str]]:
    """Photos of turning fruits: a label has three series, each a cloud of its own, so that most neighbours are of the same series."""
    vectors, paths, names = [], [], []
    for label in range(labels):
        centre = RANDOM.normal(0, 1, 12)
        for prefix in ("", "r_", "r2_"):
            at = centre + RANDOM.normal(0, 0.6, 12)
            for number in range(images // 3):
                vectors.append(at + RANDOM.normal(0, 0.3, 12))
                paths.append(f"/in/Fruit {label}/{prefix}{number}_100.jpg")
                names.append(f"Fruit {label}")
    return np.array(vectors, np.float32), paths, names


def brute_force(vectors: np.ndarray, labels: np.ndarray, left_out: np.ndarray) -> int:
    """How many have a nearest neighbour of their label; `left_out` [n, n]: who is no neighbour of whom."""
    right = 0
    for row in range(len(vectors)):
        others = np.flatnonzero(~left_out[row])
        model = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(vectors[others])
        right += labels[others[model.kneighbors(vectors[[row]], return_distance=False)[0, 0]]] == labels[row]
    return right


def others(vectors: np.ndarray, k: int = 3) -> np.ndarray:
    own = np.arange(len(vectors))
    return nearest(vectors, vectors, k, (own, own)).indices


def test_both_accuracies_are_those_of_scikit_learn() -> None:
    vectors, paths, labels = made()
    found = judge(vectors, paths, labels, others(vectors))
    names, prefixes = np.array(labels), np.array([Path(path).name.split("_")[0] if "r" in Path(path).name[:1] else "" for path in paths])
    same_series = (names[:, None] == names) & (prefixes[:, None] == prefixes)
    assert found.naive == Accuracy(brute_force(vectors, names, np.eye(len(names), dtype=bool)), 216)
    assert found.across == Accuracy(brute_force(vectors, names, same_series), 216)
    assert found.across.right < found.naive.right  # or it would not matter which is taken
    assert sum(one.across.right for one in found.labels if one.across) == found.across.right
    assert {one.label: one.images for one in found.labels} == {f"Fruit {label}": 24 for label in range(9)}


def test_how_many_neighbours_are_known_changes_nothing() -> None:
    vectors, paths, labels = made()
    assert judge(vectors, paths, labels, others(vectors, 1)) == judge(vectors, paths, labels, others(vectors, 40))


def test_of_more_than_are_asked_a_sample_is_which_has_all_for_neighbours() -> None:
    vectors, paths, labels = made()
    found, again, all_of_them = (judge(vectors, paths, labels, others(vectors), most) for most in (100, 100, None))
    assert found == again
    assert found.images == found.naive.images == found.across.images == 100
    assert sum(one.images for one in found.labels) == 100
    assert found.across.share == pytest.approx(all_of_them.across.share, abs=0.12)
    assert found.odd == all_of_them.odd


def test_the_confused_pairs_are_those_of_scikit_learn() -> None:
    vectors, paths, labels = made()
    paths = [f"/in/{label}/photo-{number}.jpg" for number, label in enumerate(labels)]  # no series: all others may be neighbours
    found = judge(vectors, paths, labels, others(vectors))
    assert found.across is None
    assert not found.named
    near = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(vectors).kneighbors(vectors, return_distance=False)[:, 1]
    wrong = {(labels[row], labels[other]) for row, other in enumerate(near) if labels[row] != labels[other]}
    for pair in found.confused:
        assert pair.forth == sum(labels[r] == pair.first and labels[o] == pair.second for r, o in enumerate(near))
        assert pair.back == sum(labels[r] == pair.second and labels[o] == pair.first for r, o in enumerate(near))
        one, other = pair.example
        assert (labels[one], labels[other], near[one]) == (pair.first, pair.second, other)
    assert len(found.confused) == min(10, len({frozenset(pair) for pair in wrong}))
    assert [pair.images for pair in found.confused] == sorted((pair.images for pair in found.confused), reverse=True)


def test_a_mislabelled_image_is_the_oddest() -> None:
    vectors, paths, labels = made()
    labels[30] = "Fruit 7"  # one of Fruit 1
    found = judge(vectors, paths, labels, others(vectors)).odd
    assert (found[0].image, found[0].other) == (30, "Fruit 1")
    rows = {name: [row for row, label in enumerate(labels) if label == name and row != 30] for name in ("Fruit 7", "Fruit 1")}
    own, other = (np.linalg.norm(vectors[30] - vectors[rows[name]].mean(axis=0)) for name in ("Fruit 7", "Fruit 1"))
    assert found[0].times == pytest.approx(own / other, rel=1e-5)


def test_series_are_told_by_the_names_of_fruits_360_alone() -> None:
    paths = [
        "/A/1_100.jpg",
        "/A/2_100.jpg",
        "/A/r_1_100.jpg",
        "/A/r2_1_100.jpg",
        "/B/1_100.jpg",
        "/A/r_x.jpg",
        "/A/IMG_1.jpg",
        "/A/IMG_2.jpg",
        "/A/20231126_101500.jpg",  # a phone's, by the time
        "/A/20231126_101502.jpg",
    ]
    numbers, named = series(paths, ["A", "A", "A", "A", "B", "A", "A", "A", "A", "A"])
    assert named
    assert numbers[0] == numbers[1]
    assert len(set(numbers.tolist())) == 9
    assert series(["/A/IMG_1.jpg", "/A/20231126_101500.jpg"], ["A", "A"])[1] is False
    assert all(series([str(photo)], ["A"])[1] for photo in SAMPLE.glob("*/*.jpg"))


def test_what_could_not_be_right_is_not_counted() -> None:
    vectors = np.array([[0.0], [1.0], [2.0], [3.0], [9.0]], np.float32)
    paths = ["/A/1_100.jpg", "/A/r_1_100.jpg", "/B/1_100.jpg", "/B/2_100.jpg", "/C/1_100.jpg"]
    found = judge(vectors, paths, ["A", "A", "B", "B", "C"], others(vectors))
    assert found.naive == Accuracy(3, 4)  # C is alone; of B the one at 2 has A at 1 before it, as far as that at 3
    assert found.across == Accuracy(2, 2)  # of A alone: B has one series
    assert [(one.label, one.across) for one in found.labels] == [("A", Accuracy(2, 2)), ("B", None), ("C", None)]


def test_one_label_and_images_that_are_all_alike() -> None:
    def judged(vectors: np.ndarray, labels: str) -> Quality:
        return judge(vectors, [f"/{label}/{number}.jpg" for number, label in enumerate(labels)], [*labels], others(vectors))

    one_label = judged(np.array([[0.0], [1.0], [1.0], [8.0]]), "AAAA")
    assert one_label.naive == Accuracy(4, 4)
    assert (one_label.odd[0].image, one_label.odd[0].other) == (3, None)
    assert judged(np.zeros((4, 2)), "AABB").odd == []
    apart = judged(np.eye(2), "AB")
    assert (apart.naive, apart.across, apart.odd, apart.confused) == (None, None, [], [])
