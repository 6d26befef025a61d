"""Whether the features are any good: how often an image's nearest neighbour has its label, which labels are taken for another, and which
images are least like their label."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fruits.neighbours import NONE, nearest

if TYPE_CHECKING:
    import numpy.typing as npt

    Integers = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.floating]

# The names of Fruits-360: 12_100.jpg, r_12_100.jpg, r2_12_100.jpg. A series is one turn of one fruit before the camera about one axis, and
# the prefix, or that there is none, tells which.
_FRAME = re.compile(r"(?P<series>(?:r\d*_)?)\d{1,3}_100\.\w+")  # no wider: 20231126_101500.jpg is a phone's photo


@dataclass(frozen=True)
class Accuracy:
    """Of `images`, `right` have a nearest neighbour of their own label. Not among them: those that could not be right, because no other
    image of their label may be their neighbour."""

    right: int
    images: int

    @property
    def share(self) -> float:
        return self.right / self.images


@dataclass(frozen=True)
class OfLabel:
    """The accuracy of a label's images; None where none of them could be right. `across`: as `Quality.across`."""

    label: str
    images: int
    naive: Accuracy | None
    across: Accuracy | None


@dataclass(frozen=True)
class Confused:
    """So many images of `first` have a nearest neighbour of `second` (`forth`), and the other way round (`back`). `example`: one of the
    first and that neighbour."""

    first: str
    second: str
    forth: int
    back: int
    example: tuple[int, int]

    @property
    def images(self) -> int:
        return self.forth + self.back


@dataclass(frozen=True)
class Odd:
    """`times`: how much further the image is from the centre of its own label, taken without it, than from the nearest other label's;
    with one label alone, than the image in the middle is. `other`: that label."""

    image: int
    times: float
    other: str | None


@dataclass(frozen=True)
class Quality:
    """Of `images` that were asked. `naive`: the nearest of all other images; None where every label has one image. `across`: the nearest
    of those that are not of the same label and series; None where no label has two series. `named`: whether names tell series at all.
    """

    images: int
    naive: Accuracy | None
    across: Accuracy | None
    named: bool
    labels: list[OfLabel]
    confused: list[Confused]
    odd: list[Odd]


def series(paths: Sequence[str], labels: Sequence[str]) -> tuple["Integers", bool]:
    """A number of each image: the same for those of one label and series; and whether any name tells a series.

    An image whose name is not of Fruits-360's form is a series of its own: nothing says which others are near-duplicates of it.
    """
    numbers: dict[tuple[str, str], int] = {}
    found, named = np.empty(len(paths), np.int64), False
    for row, (path, label) in enumerate(zip(paths, labels, strict=True)):
        frame = _FRAME.fullmatch(path.rpartition("/")[2])
        named = named or frame is not None
        key = (label, frame["series"]) if frame else ("/", path)  # no label has a slash
        found[row] = numbers.setdefault(key, len(numbers))
    return found, named


def judge(
    vectors: "Floats",
    paths: Sequence[str],
    labels: Sequence[str],
    near: "Integers",
    most: int | None = None,
    seed: int = 0,
    pairs: int = 10,
    odd: int = 12,
) -> Quality:
    """Judges vectors [n, width], n at least 2; `near` [n, k]: of each the nearest others (`neighbours.nearest`).

    `most`: so many images are asked whether their neighbour, which may be any other, has their label; of more a sample is, drawn with
    `seed`. `pairs`, `odd`: so many at most.
    """
    names, code = np.unique(np.asarray(labels, object), return_inverse=True)
    groups, named = series(paths, labels)
    asked = np.ones(len(vectors), bool)
    if most is not None and most < len(vectors):
        asked[np.random.default_rng(seed).permutation(len(vectors))[most:]] = False
    possible = asked & (np.bincount(code)[code] > 1)
    naive = near[:, 0]
    naive_right = code[naive] == code
    first_of_group = np.unique(groups, return_index=True)[1]
    several = asked & (np.bincount(code[first_of_group], minlength=len(names)) > 1)[code] & named
    other = _across(vectors, near, groups, several)
    across_right = code[other] == code
    judged, neighbour = (several, other) if several.any() else (possible, naive)
    return Quality(
        int(asked.sum()),
        _accuracy(naive_right[possible]),
        _accuracy(across_right[several]),
        named,
        [
            OfLabel(str(name), int(mine.sum()), _accuracy(naive_right[mine & possible]), _accuracy(across_right[mine & several]))
            for at, name in enumerate(names)
            for mine in [asked & (code == at)]
        ],
        _confused(code, names, judged, neighbour, pairs),
        _odd(vectors, code, names, odd),
    )


def _accuracy(right: "npt.NDArray[np.bool_]") -> Accuracy | None:
    return Accuracy(int(right.sum()), len(right)) if len(right) else None


def _across(vectors: "Floats", near: "Integers", groups: "Integers", asked: "npt.NDArray[np.bool_]") -> "Integers":
    """Of each that is asked for the nearest of another group. Where there is one among the nearest of all, the first of these is it."""
    apart = (near != NONE) & (groups[near] != groups[:, None])
    found: Integers = near[np.arange(len(near)), apart.argmax(axis=1)]
    left = np.flatnonzero(asked & ~apart.any(axis=1))
    if len(left):
        found[left] = nearest(vectors[left], vectors, 1, (groups[left], groups)).indices[:, 0]
    return found


def _confused(
    code: "Integers", names: "npt.NDArray[np.object_]", judged: "npt.NDArray[np.bool_]", neighbour: "Integers", most: int
) -> list[Confused]:
    wrong = np.flatnonzero(judged & (code[neighbour] != code))
    directed = Counter(zip(code[wrong].tolist(), code[neighbour[wrong]].tolist(), strict=True))
    examples: dict[tuple[int, int], tuple[int, int]] = {}
    for image in wrong.tolist():
        examples.setdefault((int(code[image]), int(code[neighbour[image]])), (image, int(neighbour[image])))
    together = Counter(
        {pair: directed[pair] + directed[pair[::-1]] for pair in directed if pair < pair[::-1] or pair[::-1] not in directed}
    )
    found = []
    for (a, b), _ in sorted(together.items(), key=lambda item: (-item[1], item[0]))[:most]:
        first, second = (a, b) if directed[a, b] >= directed[b, a] else (b, a)
        found.append(
            Confused(str(names[first]), str(names[second]), directed[first, second], directed[second, first], examples[first, second])
        )
    return found


def _odd(vectors: "Floats", code: "Integers", names: "npt.NDArray[np.object_]", most: int) -> list[Odd]:
    """Those least like their label, the least first. Images alone in their label are like nothing, and not among them."""
    counts = np.bincount(code)
    sums = np.zeros((len(names), vectors.shape[1]))
    np.add.at(sums, code, vectors)
    with np.errstate(invalid="ignore", divide="ignore"):
        without = (sums[code] - vectors) / (counts[code] - 1)[:, None]
        distance = np.sqrt(np.square(vectors - without).sum(axis=1))
        others = nearest(vectors, sums / counts[:, None], 1, (code, np.arange(len(names))))
        beside = others.distances[:, 0] if len(names) > 1 else np.full(len(code), np.median(distance[counts[code] > 1]))
        times = distance / beside
    times[counts[code] == 1] = np.nan
    times[distance == 0] = 0
    order = np.argsort(-times, kind="stable")  # what is no number comes last
    return [
        Odd(int(image), float(times[image]), str(names[others.indices[image, 0]]) if len(names) > 1 else None)
        for image in order[:most]
        if times[image] > 0
    ]
