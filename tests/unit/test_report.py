"""The report on measurements that were made up: its figures, its words, and what it refuses."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.prices import read_prices
from benchmarks.projection import engines
from benchmarks.report.figures import cells, failures, largest, parts, plane_models, plane_points, speed_ups, task_seconds, time_models
from benchmarks.report.page import page
from benchmarks.report.question import Question
from benchmarks.report.results import Results, read_results
from benchmarks.report.words import three_sentences
from fruits.errors import BadArgument
from made_up import plane, study


def asked(**more: Any) -> Question:
    given = {
        "volume": 1_000_000,
        "deadline": None,
        "budget": None,
        "region": "us-east-1",
        "spot": False,
        "core": 1.0,
        "prices": read_prices(),
    }
    return Question(**{**given, **more})


def rendered(content: dict[str, Any], sleeping: dict[str, Any] | None = None, **more: Any) -> str:
    return page(Results({"study.json": content}, None, [], [sleeping] if sleeping else []), asked(**more))


class Words(HTMLParser):
    """The text of a part of a page, by its id."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sections: dict[str, str] = {}
        self._now = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "section":
            self._now = dict(attrs)["id"] or ""

    def handle_data(self, data: str) -> None:
        self.sections[self._now] = self.sections.get(self._now, "") + data


def test_a_cell_s_figures() -> None:
    cell = next(c for c in cells(study()) if (c.backend, c.workers, c.images) == ("spark", 2, 2010))
    featurize = 0.5 + 2010 * 0.0070 / 2
    assert cell.rate.median == pytest.approx(2010 / featurize)
    assert cell.whole.median == pytest.approx(8.1 + 0.1 + featurize + 1.0 + 0.2 + 0.1 + 0.201)
    assert cell.stages["fit"].median == pytest.approx(1.0)
    assert cell.memory == {"driver": 300_000_000, "worker": 250_002_010}
    assert (cell.rate.points, cell.failed) == (3, 0)


def test_the_features_stage_in_three_parts() -> None:
    """Writing takes 0.4 s, reading 1.5 - 0.4 more, and computing what is left of 0.5 + 2010 images x 6.8 ms by two workers."""
    (dask, _) = parts(study())
    assert (dask.backend, dask.writing) == ("dask", pytest.approx(0.4))
    assert dask.reading == pytest.approx(1.1)
    assert dask.computing == pytest.approx(0.5 + 2010 * 0.0068 / 2 - 1.5)


def test_a_part_that_was_not_measured_is_not_told() -> None:
    without = study()
    without["isolated"] = [one for one in without["isolated"] if (one["backend"], one["engine"]) != ("spark", "read")]
    assert [of.backend for of in parts(without)] == ["dask"]
    del without["isolated"]  # of an earlier version
    assert parts(without) == []


def test_the_largest_cell_of_each_backend() -> None:
    assert [(c.backend, c.workers, c.images) for c in largest(cells(study()))] == [("dask", 2, 2010), ("spark", 2, 2010)]


def test_the_model_predicts_what_is_linear_and_the_check_fails_what_is_not() -> None:
    """With 2 ms more for each image and a thousand images before it, 2,010 take twice what the smaller sizes let expect."""
    straight, bent = (time_models(study(bend=bend))[0] for bend in (0.0, 2e-6))
    assert straight.fit["image"].value == pytest.approx(0.0068 / 2 + 1e-4)
    assert straight.fit["fixed"].value == pytest.approx(2.1 + 0.1 + 0.5 + 1.0 + 0.2 + 0.1)
    assert straight.holds
    assert straight.predicted == pytest.approx(straight.measured)
    assert not bent.holds
    assert bent.off < -0.1


def test_speed_up_of_two_workers() -> None:
    up = next(u for u in speed_ups(study()) if (u.backend, u.workers) == ("dask", 2))
    assert up.strong == pytest.approx((0.5 + 2010 * 0.0068) / (0.5 + 2010 * 0.0034))
    assert up.efficiency == pytest.approx(up.strong / 2)


def test_weak_scaling_where_it_was_measured() -> None:
    """335 x 2 is not among the sizes of the other study, and 1,005 x 2 is: one worker at 1,005 images, two at 2,010."""
    without, with_it = study(sizes=(335, 1000, 2010)), study()
    assert {u.weak for u in speed_ups(without) if u.workers == 2} == {None}
    up = next(u for u in speed_ups(with_it) if (u.backend, u.workers) == ("dask", 2))
    assert up.weak == pytest.approx((2010 / (0.5 + 2010 * 0.0034)) / (1005 / (0.5 + 1005 * 0.0068)))


def test_the_law_of_the_engine_plane_is_recovered_and_predicts_what_it_was_not_fitted_to() -> None:
    dask, spark = plane_models(plane(contention=0.002, coherency=1e-6))
    assert (dask.backend, dask.workers, spark.backend, spark.workers) == ("dask", 64, "spark", 32)  # Spark's 64 are marked
    assert dask.fit["contention"].value == pytest.approx(0.002, rel=0.05)
    assert dask.law is not dask.fit  # with this noise 1e-6 cannot be told from 0
    strong = plane_models(plane(contention=0.002, coherency=2e-4))[0]
    assert strong.law is strong.fit
    assert strong.fit["coherency"].value == pytest.approx(2e-4, rel=0.02)
    assert strong.predicted == pytest.approx(150 * 64 / (1 + 0.002 * 63 + 2e-4 * 64 * 63), rel=0.02)
    assert dask.predicted == pytest.approx(150 * 64 / (1 + 0.002 * 63 + 1e-6 * 64 * 63), rel=0.01)
    assert dask.holds
    assert spark.holds


def test_an_engine_that_breaks_down_past_what_was_fitted_fails_the_check() -> None:
    dask = plane_models(plane(bend=0.8))[0]
    assert dask.off == pytest.approx(0.25, abs=0.01)
    assert not dask.holds
    assert "DOES NOT HOLD" in Words(rendered(study(), sleeping=plane(bend=0.8))).sections["plane"]


def test_points_without_an_idle_processor_are_marked_and_left_out() -> None:
    marked = [point for point in plane_points(plane()) if not point.usable]
    assert [(point.backend, point.workers, point.idle) for point in marked] == [("spark", 64, 0.1)]
    assert Words(rendered(study(), sleeping=plane())).sections["plane"].count("MARKED") == 1


def test_a_plane_on_yarn_stands_beside_that_of_one_machine(tmp_path: Path) -> None:
    on_yarn = plane()
    on_yarn["plan"]["cluster"] = "yarn"
    for point in on_yarn["points"]:
        point["rate"] *= 0.5
    for name, content in (("a", on_yarn), ("b", plane()), ("c", study())):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    read = read_results([tmp_path])
    sections = Words(page(read, asked())).sections
    rate = 150 * 64 / (1 + 0.002 * 63 + 1e-6 * 64 * 63)  # of 64 workers, by the law
    assert f"{rate:.1f}" in sections["plane"]
    assert f"{rate / 2:.1f}" in sections["plane-on-yarn"]
    (_, scaling, _) = three_sentences(read, engines(read.first))
    kept = rate / 64 / 150
    assert f"Dask keeps {kept:.0%} of the ideal rate at 64 workers" in scaling
    assert f"on a real YARN Dask keeps {kept / 2:.0%} of the ideal rate at 64 workers" in scaling
    assert "in containers of a real YARN" in sections["plane-on-yarn"]
    assert "YARN" not in sections["plane"]
    # What is projected is by the first.
    assert sections["cluster"] == Words(rendered(study(), sleeping=plane())).sections["cluster"]
    (tmp_path / "d.json").write_text(json.dumps(on_yarn))
    with pytest.raises(BadArgument, match="a second result of its kind, plane on YARN"):
        read_results([tmp_path])


def test_the_plane_s_costs_are_in_the_projection() -> None:
    assert task_seconds(plane()) == pytest.approx({"dask": 0.001, "spark": 0.004})
    words = Words(rendered(study(), sleeping=plane())).sections["cluster"]
    assert "spark's scheduler takes 4 ms for each 2,048 images" in words
    assert re.search(r"0\.2\d% of what dask does on workers gets no faster", words)


def test_the_world_s_figure_and_the_model_s() -> None:
    """26 images/s x 0.5 x 8 vCPUs = 104 images/s: 67,692 images in 651 s, of which 21.5 min are 1.98 times as much."""
    row = {"what": "x", "unit": "images/s", "points": [26.0], "median": 26.0, "target": None, "most": False, "reached": None}
    speed = {"cases": {"notebook": {"rows": [row], "machine": {"processor": "p", "date": "d"}}}}
    words = Words(page(Results({"study.json": study()}, speed, []), asked())).sections["world"]
    assert "1,290" in words
    assert "651" in words
    assert "2.0 times" in words
    assert "0.25 of a core" in words


def test_failures_are_counted_and_in_no_figure() -> None:
    content = study()
    content["runs"][0] = {**{k: content["runs"][0][k] for k in ("backend", "workers", "asked", "repeat", "order")}, "failed": "no space"}
    cell = cells(content)[0]
    assert (cell.rate.points, cell.failed) == (2, 1)
    assert [run["failed"] for run in failures(content)] == ["no space"]
    words = Words(rendered(content)).sections
    assert "Failures of study.json: 1" in words["raw"]
    assert "no space" in words["raw"]


def test_the_page_is_whole_and_loads_nothing() -> None:
    html = rendered(study(noise=0.05))
    words = Words(html).sections
    assert {"method", "throughput", "stages", "model", "scaling", "cluster", "cost", "parity", "limits", "raw"} <= words.keys()
    assert "copies of <335> photos & more" in words["method"]  # text, not markup
    with_charts = {part.partition('"')[0] for part in html.split('<section id="')[1:] if "<svg" in part}
    assert {"throughput", "stages", "scaling", "cluster", "cost"} <= with_charts
    assert all(re.search(r'aria-label="\w', chart) for chart in re.findall("<svg[^>]*>", html))  # read to who cannot see it
    assert not re.search(r"(?:src|href)=[\"'](?!#)", html)
    assert "http" not in html.replace("http://www.w3.org/1999/xlink", "").replace("http://www.w3.org/2000/svg", "")  # names, not addresses
    identities = re.findall(r'\bid="([^"]+)"', html)
    assert len(identities) == len(set(identities))


def test_the_decision_follows_the_question() -> None:
    few, many, never, too_many = (
        Words(rendered(study(), **question)).sections["decision"]
        for question in (
            {"volume": 22_688},
            {"volume": 10_000_000, "deadline": 7200.0},
            {"volume": 10_000_000, "deadline": 60.0},
            {"volume": 100_000_000},
        )
    )
    assert "dask on one" in few
    assert "No cluster is needed" in few
    assert "dask on 1 + " in many
    assert "within 2 h" in many or "within 120 min" in many
    assert "there is no answer" in never
    assert "22 GB of the driver's memory" in too_many  # 222 bytes each


def test_the_decision_follows_the_measurements() -> None:
    content = study()
    for run in content["runs"]:
        if run["backend"] == "dask":
            run["stages"]["featurize"] *= 2
    words = Words(rendered(content, volume=1_000_000)).sections["decision"]
    assert "spark on one" in words
    assert "Spark starts later than dask and makes that good from" in words


def test_too_few_measurements_give_a_page_without_a_decision() -> None:
    words = Words(rendered(study(sizes=(335, 1005), repeats=1))).sections
    assert "No decision: fixed, image fitted to 2 measurements" in words["decision"]
    assert "cluster" not in words
    content = study()
    content["runs"] = [run if run["backend"] == "dask" else {**run, "failed": "no space"} for run in content["runs"]]
    assert "every run of spark with 2 workers failed" in Words(rendered(content)).sections["decision"]


def test_intervals_from_six_repeats_on() -> None:
    assert "needs 6 repeats" in Words(rendered(study(noise=0.02))).sections["throughput"]
    assert "needs 6 repeats" not in Words(rendered(study(noise=0.02, repeats=6))).sections["throughput"]


def test_results_of_different_images_are_refused_and_of_other_versions_marked(tmp_path: Path) -> None:
    one, other = study(), study()
    other["machine"]["packages"]["pyspark"] = "3"
    for name, content in (("a.json", one), ("b.json", other)):
        (tmp_path / name).write_text(json.dumps(content))
    joined = read_results([tmp_path])
    assert joined.marks == [f"{tmp_path}/b.json was measured with pyspark 3, {tmp_path}/a.json with 2"]
    other["plan"]["images"] = "others"
    (tmp_path / "b.json").write_text(json.dumps(other))
    with pytest.raises(BadArgument, match="different images"):
        read_results([tmp_path])


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "cannot be read"),
        ("{", "is no JSON"),
        ("[]", "is no result"),
        ('{"a": 1}', "is no result"),
        ('{"kind": "study", "schema_version": 99}', "has schema 99"),
        ('{"kind": "study", "schema_version": 1, "runs": [{"failed": "x"}]}', "all of its 1 runs failed"),
        ('{"kind": "plane", "schema_version": 1, "points": [{"failed": "x"}]}', "all of its 1 points failed"),
        ('{"cases": {}}', "there is no study"),
    ],
)
def test_what_is_no_result_is_refused(tmp_path: Path, content: str | None, what: str) -> None:
    file = tmp_path / "r.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(BadArgument, match=what):
        read_results([file])


def invoke(*arguments: str | Path) -> Any:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_command_writes_the_page_again(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text(json.dumps(study()))
    done = invoke("report", tmp_path, "--volume", "1e7", "--deadline", "2h", "--region", "us-east-1")
    assert done.exit_code == 0, done.output
    assert "For 10,000,000 images within" in Words((tmp_path / "report.html").read_text()).sections["decision"]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--volume", "many"], "many is no number"),
        (["--volume", "1.5"], "no whole number"),
        (["--deadline", "soon"], "soon is no duration"),
        (["--deadline", "0h"], "no duration"),
        (["--budget", "0"], "budget"),
        (["--region", "mars-1"], "has no prices of it"),
        (["--prices", "nowhere.tsv"], "nowhere.tsv cannot be read"),
    ],
)
def test_a_question_that_is_none_is_refused(tmp_path: Path, options: list[str], what: str) -> None:
    (tmp_path / "study.json").write_text(json.dumps(study()))
    done = invoke("report", tmp_path, *options)
    assert done.exit_code == 2
    assert what in done.output
    assert not (tmp_path / "report.html").exists()


def test_no_result_is_refused(tmp_path: Path) -> None:
    done = invoke("report", tmp_path)
    assert done.exit_code == 2
    assert "measure first" in done.output
