"""Labels of photos that the results do not have, and what confidence means."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from conftest import DATA, SAMPLE, Engine, asked, expected_features, table, vectors
from fruits.completed import Completed
from fruits.errors import BadArgument
from fruits.identifier import SHRINKAGE, identifier

FOREIGN = sorted(str(path) for path in (DATA / "awkward").glob("*.jpg") if path.name != "truncated_jpeg.jpg")


def series_of(photo: Path) -> str:
    return found[0] if (found := re.match(r"r\d*_", photo.name)) else ""


@pytest.fixture(scope="module")
def split(inprocess: object, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path], list[Path]]:
    """Results without one whole series of each label, and without every sixth label; the photos of those series, and of those labels."""
    folder = tmp_path_factory.mktemp("split")
    held_out, strangers, given = [], [], []
    for number, label in enumerate(sorted(SAMPLE.iterdir())):
        photos = sorted(label.glob("*.jpg"))
        last = max(map(series_of, photos))
        alone = all(series_of(photo) == last for photo in photos)
        for photo in photos:
            (strangers if number % 6 == 0 else held_out if series_of(photo) == last and not alone else given).append(photo)
    (folder / "given.txt").write_text("".join(f"{photo}\n" for photo in given))
    Engine("inprocess", inprocess).run(manifest=folder / "given.txt", output=folder / "r")
    return folder / "r", held_out, strangers


def answers(results: Path, photos: list[Path] | list[str], *options: str) -> list[dict[str, Any]]:
    answered = asked("identify", results, *map(str, photos), "--json", *options)
    assert answered.returncode == 0, answered.stderr
    return list(json.loads(answered.stdout))


def test_photos_of_series_that_were_held_out_and_of_labels_that_are_not_there(split: tuple[Path, list[Path], list[Path]]) -> None:
    """The shares are printed (pytest -s); the bounds are a good way below them."""
    results, held_out, strangers = split
    found = answers(results, [*held_out, *strangers, *FOREIGN])
    known, strange, foreign = found[: len(held_out)], found[len(held_out) : -len(FOREIGN)], found[-len(FOREIGN) :]
    right = np.array([one["nearest"] == photo.parent.name for one, photo in zip(known, held_out, strict=True)])
    named = np.array([one["label"] != "unknown" for one in known])
    unknown = [np.mean([one["label"] == "unknown" for one in of]) for of in (strange, foreign)]
    print(f"{len(known)} photos of series held out: nearest label right {right.mean():.3f}, named {named.mean():.3f}, ", end="")
    print(f"of these right {right[named].mean():.3f}; unknown of {len(strange)} strangers {unknown[0]:.3f}, of foreign {unknown[1]:.3f}")
    assert right.mean() > 0.5
    assert right[named].mean() > right.mean() + 0.1
    assert unknown[0] > 0.5
    assert unknown[1] == 1.0
    # 1 in 56 by chance.
    assert len({one["nearest"] for one in known}) > 20


def test_the_nearest_label_is_that_of_scikit_learns_discriminant_analysis(split: tuple[Path, list[Path], list[Path]]) -> None:
    """Theirs prefers labels of many images, ours does not: that is taken out."""
    results, held_out, _ = split
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE)
    theirs.fit(vectors(results, "pca").astype(float), table(results, "pca")["label"])
    with np.load(results / "projection.npz") as stored:
        photos = (expected_features([str(photo) for photo in held_out]) - stored["mean"]) @ stored["components"].T
    expected = theirs.classes_[(theirs.decision_function(photos) - np.log(theirs.priors_)).argmax(axis=1)]
    assert [one["nearest"] for one in answers(results, held_out)] == expected.tolist()


def test_the_same_answer_with_and_without_the_mean(split: tuple[Path, list[Path], list[Path]], tmp_path: Path, inprocess: object) -> None:
    results, held_out, _ = split
    Engine("inprocess", inprocess).run(manifest=results.parent / "given.txt", output=tmp_path / "r", uncentred=True)
    for one, other in zip(answers(results, held_out[:20]), answers(tmp_path / "r", held_out[:20]), strict=True):
        assert one["nearest"] == other["nearest"]
        assert one["confidence"] == pytest.approx(other["confidence"], abs=1e-3)


def test_confidence_is_the_share_that_is_right(sample_results: Path) -> None:
    """Of the images that were held out for it, so that the threshold of a half separates guesses from answers."""
    held_out = identifier(Completed.at(str(sample_results))).held_out
    assert held_out.by_series
    assert held_out.confidence.mean() == pytest.approx(held_out.right.mean(), abs=0.15)
    named, right = held_out.named(0.5)
    assert 0.3 < named < 0.8
    assert right is not None
    assert right > held_out.accuracy + 0.1
    assert held_out.named(1.1) == (0.0, None)


def test_the_threshold(sample_results: Path) -> None:
    photos = [str(photo) for photo in sorted(SAMPLE.glob("*/*.jpg"))[::40]]
    assert [one["label"] for one in answers(sample_results, photos, "--threshold", "0")] == [Path(photo).parent.name for photo in photos]
    assert {one["label"] for one in answers(sample_results, photos, "--threshold", "1")} == {"unknown"}


def test_a_photo_that_cannot_be_read_is_a_row_and_an_exit_code(sample_results: Path, tmp_path: Path) -> None:
    good = sorted(SAMPLE.glob("*/*.jpg"))[0]
    for label in ("[bold]x", "<i>"):
        shutil.copy(good, tmp_path / label)
    answered = asked(
        "identify", sample_results, "nowhere.jpg", tmp_path / "[bold]x", DATA / "awkward" / "truncated_jpeg.jpg", tmp_path / "<i>"
    )
    assert answered.returncode == 1
    for words in (
        "(not-found)",
        "there is no such file",
        "(truncated)",
        "[bold]x",
        "<i>",
        good.parent.name,
        "held out each with its whole",
    ):
        assert words in " ".join(answered.stdout.split())
    assert answered.stderr == ""


def test_results_that_tell_no_labels_apart_are_refused(images: Path, tmp_path: Path, inprocess: object) -> None:
    engine = Engine("inprocess", inprocess)
    engine.run(input=sorted(images.iterdir())[0], output=tmp_path / "one", components=1)
    with pytest.raises(BadArgument, match="one label alone, 'Apple 10'"):
        identifier(Completed.at(str(tmp_path / "one")))
    for label in images.iterdir():
        sorted(label.iterdir())[0].unlink()
    engine.run(input=images, output=tmp_path / "single", components=2)
    with pytest.raises(BadArgument, match="does not show how images of one label differ"):
        identifier(Completed.at(str(tmp_path / "single")))
    # Two images of one label are enough.
    shutil.copy(sorted(SAMPLE.iterdir())[0] / "r0_101_100.jpg", images / "Apple 10")
    engine.run(input=images, output=tmp_path / "enough", components=2)
    assert len(identifier(Completed.at(str(tmp_path / "enough"))).labels) == 7
