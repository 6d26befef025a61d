"""The page of a run, on results that were made up: what it says, and what it says where there is nothing to say."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import made_results
import numpy as np

from fruits.page.make import write_again


class Words(HTMLParser):
    """The text of each section of the page, the script's data apart."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sections: dict[str, str] = {}
        self.data: dict[str, Any] = {}
        self._now, self._script = "", ""
        self.feed(html)
        self.sections = {name: " ".join(text.split()) for name, text in self.sections.items()}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "section":
            self._now = dict(attrs)["id"] or ""
        if tag in ("script", "style"):
            self._script = dict(attrs).get("id") or tag

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._script = ""

    def handle_data(self, data: str) -> None:
        if self._script == "points":
            self.data = json.loads(data)
        elif not self._script:
            self.sections[self._now] = f"{self.sections.get(self._now, '')} {data}"


def page(folder: Path, paths: list[str], labels: list[str], vectors: Any, **more: Any) -> Words:
    made_results.write(folder / "r", paths, labels, np.array(vectors, float), **more)
    write_again(str(folder / "r"), print)
    return Words((folder / "r" / "report.html").read_text())


def test_features_only_has_no_map_and_says_why(tmp_path: Path) -> None:
    job = {"input": "/in", "features_only": True, "projection": None}
    words = page(tmp_path, ["/in/A/a.jpg"], ["A"], [[0.0]], job=job, explained_variance=[]).sections
    assert "no map and no accuracy: this run had --features-only" in words["map"]
    assert "variance" not in words
    assert "quality" not in words
    assert "featurize 10.00 1 0.1" in words["stages"]


def test_one_image(tmp_path: Path) -> None:
    words = page(tmp_path, ["/in/A/a.jpg"], ["A"], [[0.5, 0.5]])
    assert "One image has no neighbours" in words.sections["quality"]
    assert words.data["names"] == ["A/a.jpg"]


def test_two_images_of_two_labels_and_one_component(tmp_path: Path) -> None:
    words = page(tmp_path, ["/in/A/a.jpg", "/in/B/b.jpg"], ["A", "B"], [[0.0], [1.0]]).sections
    assert "every label has one image" in words["quality"]
    assert "There is one component: upwards the labels are spread." in words["map"]
    assert "80 % with more than 1" in words["variance"]


def test_one_label_says_nothing(tmp_path: Path) -> None:
    words = page(tmp_path, [f"/in/A/{n}.jpg" for n in range(5)], ["A"] * 5, np.eye(5)).sections
    assert "There is one label, so that every neighbour is of it" in words["quality"]
    assert "100.0% of 5 images" in words["quality"]


def test_images_that_are_all_alike(tmp_path: Path) -> None:
    paths, labels = ["/in/A/a.jpg", "/in/A/b.jpg", "/in/B/c.jpg"], ["A", "A", "B"]
    words = page(tmp_path, paths, labels, np.zeros((3, 2)), explained_variance=[0.0, 0.0])
    assert "The images do not vary" in words.sections["variance"]
    assert "100.0% of 2 images" in words.sections["quality"]  # the nearest of equals is the first


def test_it_says_what_was_done(tmp_path: Path) -> None:
    """2 series of each of 2 labels; the one image of B that lies among those of A is the one that is wrong."""
    names = ["A/1_100", "A/2_100", "A/r_1_100", "A/r_2_100", "B/1_100", "B/2_100", "B/r_1_100", "B/r_2_100"]
    vectors = [[0, 0], [0.1, 0], [0, 1], [0.1, 1], [9, 0], [9.1, 0], [9, 1], [0.25, 1]]
    images = {"found": 11, "featurized": 8, "rejected": 3, "reused": 2, "bytes": 1, "ignored": {}}
    words = page(
        tmp_path,
        [f"/in/{name}.jpg" for name in names],
        [name[0] for name in names],
        vectors,
        images=images,
        rejected_by_reason={"truncated": 1, "empty": 2},
        explained_variance=[0.85, 0.93],
        notes=["a <note>"],
    ).sections
    assert "Note: a <note>" in words[""]
    # Without those of their own series: 1 and 2 of A have r_1 of A, r_1 and r_2 of A have 2 of A or r_2 of B, which is nearer.
    assert "62.5% of 8 images have a nearest neighbour of their own label" in words["quality"]
    assert "With only the image itself left out it is 87.5%" in words["quality"]
    assert "A and B 3 images: 2 of the first, 1 of the second" in words["quality"]
    assert "B/r_2_100.jpg B A" in words["quality"]  # the oddest
    assert "80 % with 1 component, 90 % with 2 components, 95 % with more than 2." in words["variance"]
    assert "A 4 B 4" in words["labels"]
    assert words["rejected"].startswith("Rejected images 3 of 11;")
    assert words["rejected"].endswith("empty 2 truncated 1")
    assert "featurize 10.00 8 0.8 0.4" in words["stages"]  # 8 images in 10 s by 2 workers
    assert "all 12.50" in words["stages"]
    for text in ("MobileNetV2", "w" * 64, "bicubic", "dask, 2 workers, cluster local", "dask 1.2", "fruits 0.1.0"):
        assert text in words["provenance"]


def test_parameters_that_are_nought_are_told(tmp_path: Path) -> None:
    job = {"input": "/in", "features_only": True, "projection": None, "max_rejected": 0.0, "fresh": False}
    words = page(tmp_path, ["/in/A/a.jpg"], ["A"], [[0.0]], job=job, explained_variance=[]).sections["provenance"]
    assert "max_rejected 0.0" in words
    assert "fresh" not in words


def test_of_very_many_labels_the_map_has_its_own_and_the_lists_a_thousand(tmp_path: Path) -> None:
    """More than 16 bits can number."""
    labels = {**{f"label {number:05}": 2 for number in range(70_000)}, "A": 3, "B": 1}
    made_results.write(tmp_path / "r", ["/in/B/b.jpg", "/in/A/a.jpg"], ["B", "A"], np.array([[0.0], [1.0]]))
    content = json.loads((tmp_path / "r" / "report.json").read_text())
    (tmp_path / "r" / "report.json").write_text(json.dumps({**content, "labels": labels}))
    write_again(str(tmp_path / "r"), print)
    words = Words((tmp_path / "r" / "report.html").read_text())
    assert words.data["labels"] == ["A", "B"]
    assert np.frombuffer(base64.b64decode(words.data["label"]), "<u2").tolist() == [1, 0]
    assert "69,002 labels more, with fewer images, are in report.json" in words.sections["labels"]
    assert "label 00998" in words.sections["labels"]
    assert "label 00999" not in words.sections["labels"]


def test_of_very_many_labels_the_table_of_accuracy_has_the_thousand_lowest(tmp_path: Path) -> None:
    labels = [f"label {number // 2:04}" for number in range(2010)]
    paths = [f"/in/{label}/{number}.jpg" for number, label in enumerate(labels)]
    places = [[float(number // 2)] for number in range(2010)]
    places[0], places[2] = places[2], places[0]  # label 0000 and label 0001 are taken for one another
    words = page(tmp_path, paths, labels, places).sections["quality"]
    assert "The lowest first; 5 labels more do as well or better" in words
    table = words.partition("Accuracy by label")[2]
    assert table.index("label 0000") < table.index("label 0500")
    assert "label 0999" in table
    assert "label 1000" not in table


def test_an_image_that_equals_the_centre_of_another_label_is_said_to(tmp_path: Path) -> None:
    paths, labels = ["/in/A/a.jpg", "/in/A/b.jpg", "/in/B/c.jpg"], ["A", "A", "B"]
    words = page(tmp_path, paths, labels, [[0.0, 0.0], [5.0, 0.0], [5.0, 0.0]]).sections["quality"]
    assert "A/b.jpg A B equal to the other" in words
    assert "inf" not in words


def test_its_policy_allows_its_own_script_and_no_request(tmp_path: Path) -> None:
    page(tmp_path, ["/in/A/a.jpg", "/in/A/b.jpg"], ["A", "A"], np.eye(2))
    html = (tmp_path / "r" / "report.html").read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    script = re.search(r"<script>(.*)</script>", html, re.DOTALL)
    assert policy
    assert script
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert policy[1].replace("&#39;", "'").split("; ")[0] == "default-src 'none'"
    assert f"script-src 'sha256-{digest}'" in policy[1]
    assert not re.search(r"(?:src|href)=[\"'](?!#|data:)", html)
    assert "http" not in html.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
