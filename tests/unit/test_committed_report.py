"""The report that is committed and what the README says of it: every figure from the raw measurements beside it."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from benchmarks.__main__ import question
from benchmarks.prices import TABLE
from benchmarks.projection import engines
from benchmarks.report.page import page
from benchmarks.report.results import Results, read_results
from benchmarks.report.words import three_sentences

ROOT = Path(__file__).parents[2]
FOLDER = Path("benchmarks/results/2026-11-26")


class Numbers(HTMLParser):
    """The numbers that a page shows, in its order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.shown: list[str] = []
        self.feed(html)

    def handle_data(self, data: str) -> None:
        self.shown += re.findall(r"\d[\d,.]*", data)


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> Results:
    monkeypatch.chdir(ROOT)  # the page names its files as they were typed
    return read_results([FOLDER])


def test_the_page_says_what_was_measured(results: Results) -> None:
    again = page(results, question(1_000_000, None, None, "eu-west-3", False, 1.0, TABLE))
    committed = (ROOT / FOLDER / "report.html").read_text()
    assert Numbers(committed).shown == Numbers(again).shown
    assert len(Numbers(committed).shown) > 1000


def test_the_readme_says_it_in_three_sentences(results: Results) -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    for sentence in three_sentences(results, engines(results.first)):
        assert sentence in readme
    assert f"({FOLDER}/report.html)" in readme


def test_it_was_a_whole_study(results: Results) -> None:
    study, plane = results.first, results.plane
    assert study["plan"]["repeats"] >= 3
    assert plane is not None
    assert plane["plan"]["repeats"] >= 3
    assert {point["workers"] for point in plane["points"]} == {1, 2, 4, 8, 16, 32, 64}
    assert [of["plan"]["cluster"] for of in results.planes] == ["local", "yarn"]
    assert results.speed is not None
    assert {"features", "job", "notebook"} <= results.speed["cases"].keys()
