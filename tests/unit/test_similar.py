"""The images of a results folder that are nearest to one, as a user asks for them."""

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.neighbors import NearestNeighbors

from conftest import DATA, SAMPLE, WITHOUT_OVERRIDE, Engine, asked, cli, expected_features, table, vectors

STRANGER = DATA / "awkward" / "hopper_orientation_6.jpg"


def projected(results: Path, photo: Path) -> np.ndarray:
    """By the file that a run wrote, with numpy alone."""
    with np.load(results / "projection.npz") as stored:
        return ((expected_features([str(photo)]) - stored["mean"]) * stored["scale"]) @ stored["components"].T


def test_the_nearest_to_a_photo_from_elsewhere_are_those_of_scikit_learn(sample_results: Path) -> None:
    answered = asked("similar", sample_results, STRANGER, "--count", "40", "--json")
    assert answered.returncode == 0, answered.stderr
    found, rows = json.loads(answered.stdout), table(sample_results, "pca")
    exact = NearestNeighbors(n_neighbors=40, algorithm="brute").fit(vectors(sample_results, "pca").astype(float))
    distances, indices = exact.kneighbors(projected(sample_results, STRANGER))
    assert [near["path"] for near in found["neighbours"]] == rows["path"][indices[0]].tolist()
    assert [near["label"] for near in found["neighbours"]] == rows["label"][indices[0]].tolist()
    np.testing.assert_allclose([near["distance"] for near in found["neighbours"]], distances[0], atol=1e-3)
    assert (found["itself"], found["compared"], found["image"]) == (None, 335, str(STRANGER))


def test_an_image_of_the_results_is_named_and_left_out_and_its_copy_is_the_nearest(sample_results: Path, tmp_path: Path) -> None:
    photo = sorted(SAMPLE.glob("*/*.jpg"))[17]
    found = json.loads(asked("similar", sample_results, photo, "--json").stdout)
    assert found["itself"] == {"distance": 0.0, "label": photo.parent.name, "path": str(photo)}
    assert (found["compared"], len(found["neighbours"])) == (334, 12)
    assert str(photo) not in {near["path"] for near in found["neighbours"]}
    copied = json.loads(asked("similar", sample_results, shutil.copy(photo, tmp_path), "--count", "2", "--json").stdout)
    assert (copied["neighbours"][0]["path"], copied["neighbours"][0]["distance"]) == (str(photo), 0.0)
    assert copied["neighbours"][1] == found["neighbours"][0]


@pytest.mark.parametrize("how", [{"uncentred": True}, {"standardize": True}, {"chunk_size": 3}], ids=str)
def test_it_goes_through_the_projection_of_that_run(how: dict[str, bool], images: Path, tmp_path: Path, inprocess: object) -> None:
    Engine("inprocess", inprocess).run(input=images, output=tmp_path / "r", components=5, **how)
    rows, own = table(tmp_path / "r", "pca"), vectors(tmp_path / "r", "pca")
    found = json.loads(asked("similar", tmp_path / "r", rows["path"][3], "--count", "100", "--json").stdout)
    distances = np.linalg.norm(own - own[3], axis=1)
    order = [row for row in np.argsort(distances) if row != 3]
    assert found["itself"]["distance"] == 0.0
    assert [near["path"] for near in found["neighbours"]] == rows["path"][order].tolist()
    np.testing.assert_allclose([near["distance"] for near in found["neighbours"]], distances[order], rtol=1e-5)


class Pictures(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, _: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [str(value) for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_names_of_markup_are_text_in_the_terminal_and_on_the_page(tmp_path: Path, inprocess: object) -> None:
    """Of rich, of HTML, and what a terminal would obey."""
    labels = ["[bold red]apple", "<img src=x onerror=alert(1)>&amp;\"'", "🍎 pomme", "\x1b[31mred"]
    for at, label in enumerate(labels):
        folder = tmp_path / "images" / label
        folder.mkdir(parents=True)
        for photo in sorted(SAMPLE.glob("*/*.jpg"))[at * 9 : at * 9 + 2]:
            shutil.copy(photo, folder)
    Engine("inprocess", inprocess).run(input=tmp_path / "images", output=tmp_path / "r", components=3)
    answered = asked("similar", tmp_path / "r", STRANGER, "--page", tmp_path / "page.html")
    assert answered.returncode == 0, answered.stderr
    for label in (*labels[:3], r"\x1b[31mred"):
        assert label in answered.stdout
    assert "\x1b" not in answered.stdout
    page = Pictures((tmp_path / "page.html").read_text())
    assert set(labels) <= set(page.texts)
    assert len(page.sources) == 9  # the image and eight neighbours
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.sources)


def test_a_picture_that_cannot_be_read_is_said_on_the_page(images: Path, tmp_path: Path, inprocess: object) -> None:
    Engine("inprocess", inprocess).run(input=images, output=tmp_path / "r", components=3)
    gone, *others = sorted(images.glob("*/*.jpg"))
    gone.unlink()
    answered = asked("similar", tmp_path / "r", others[0], "--count", "20", "--page", tmp_path / "page.html")
    assert answered.returncode == 0, answered.stderr
    text = (tmp_path / "page.html").read_text()
    assert "1 of the pictures cannot be read here" in text
    assert "not-found: there is no such file" in text
    assert text.count("data:image/jpeg") == 13  # the image, and twelve of its thirteen neighbours


@pytest.fixture(scope="module")
def limited(inprocess: object, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results of a run that had limits, and with what is no image for it."""
    folder = tmp_path_factory.mktemp("limited")
    shutil.copytree(sorted(SAMPLE.iterdir())[0], folder / "images" / "Apple")
    Engine("inprocess", inprocess).run(
        input=folder / "images", output=folder / "r", components=3, max_pixels=80_000, max_file_bytes=500_000
    )
    subprocess.run(["mkfifo", folder / "pipe"], check=True)
    (folder / "text.jpg").write_text("hello")
    (folder / "empty.jpg").touch()
    (folder / "heavy.jpg").write_bytes(bytes(600_000))
    Image.new("RGB", (300, 300)).save(folder / "large.png")
    return folder


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("nowhere.jpg", "not-found: there is no such file"),
        (".", "not-a-file: a folder, a pipe or a device"),
        ("pipe", "not-a-file"),
        ("text.jpg", "not-an-image: none of JPEG, PNG, BMP, GIF: begins with 68 65 6c 6c 6f"),
        ("empty.jpg", "empty: 0 bytes"),
        (str(DATA / "awkward" / "truncated_jpeg.jpg"), "truncated: "),
        ("large.png", "too-many-pixels: 300 x 300 pixels, the limit is 80000"),
        ("heavy.jpg", "too-large: 600000 bytes, the limit of the run was 500000"),
        ("gopher://x/y.jpg", "gopher:// URLs cannot be read"),
        (os.fsdecode(b"\xff.jpg"), "bad-name"),
    ],
)
def test_an_image_that_a_run_would_reject_is_refused_with_its_reason(
    image: str, words: str, limited: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(limited)
    answered = asked("similar", "r", image)
    assert answered.returncode == 2, answered.stdout
    assert words in answered.stderr
    assert re.search(r"^       \w", answered.stderr, re.MULTILINE)  # what to do


def test_a_photo_without_the_right_to_read_it(sample_results: Path, tmp_path: Path) -> None:
    photo = tmp_path / "mine.jpg"
    shutil.copy(STRANGER, photo)
    photo.chmod(0)
    assert subprocess.run([*WITHOUT_OVERRIDE, "cat", photo], capture_output=True, check=False).returncode  # the fault is there
    answered = cli("similar", sample_results, photo, under=WITHOUT_OVERRIDE)
    assert (answered.returncode, "access-denied: no right to read it" in answered.stderr) == (2, True), answered.stderr
