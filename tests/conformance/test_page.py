"""The page of every run: a stage, and a file of the results like the others; and the command that makes it again."""

import json
import shutil
from pathlib import Path

import pytest
from typed import Type

from conftest import SAMPLE, Engine, asked, cli, report
from fruits.page.make import write_again
from leases import holder, told


def test_every_run_has_its_page(engine: Engine, images: Path, tmp_path: Path) -> None:
    (images / "bad.jpg").write_text("no image")
    done = engine.run(input=images, output=tmp_path / "r", components=3, pca="moments")
    html = (tmp_path / "r" / "report.html").read_text()
    points = json.loads(html.partition('id="points">')[2].partition("</script>")[0])
    assert points["names"] == sorted(str(photo.relative_to(images)) for photo in images.glob("*/*.jpg"))
    assert "data:image/jpeg;base64," in html
    assert "thumbnails left out" not in html
    assert "not-an-image" in html
    assert done.stages[-1].name == "page"
    # From the folder alone, wherever it is, the same comes out.
    assert write_again(engine.url(tmp_path / "r"), print) in done.files


@pytest.mark.local("alters a local folder")
def test_results_of_an_earlier_version_get_theirs(inprocess: object, images: Path, tmp_path: Path) -> None:
    engine, results = Engine("inprocess", inprocess), tmp_path / "r"
    engine.run(input=images, output=results, components=3)
    page, content = (results / "report.html").read_bytes(), report(results)
    (results / "report.html").unlink()
    for name in ("files", "stages"):
        content[name] = [one for one in content[name] if one["name"] not in ("report.html", "page")]
    (results / "report.json").write_text(json.dumps(content))
    assert engine.prepare(input=images, output=results, components=3).complete is not None
    assert asked("validate", results).returncode == 0
    ended = asked("report", results)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"{results}/report.html: 0.")
    assert (results / "report.html").read_bytes() == page
    assert asked("validate", results).returncode == 0
    assert engine.prepare(input=images, output=results, components=3).complete is not None
    assert not list((results / "_fruits").glob("lease*"))
    (results / "report.html").write_bytes(page[:-1])
    assert "report.html: missing, or not what was written" in asked("validate", results).stderr


@pytest.mark.local("alters a local folder")
def test_images_that_are_gone_leave_thumbnails_out(inprocess: object, images: Path, tmp_path: Path) -> None:
    Engine("inprocess", inprocess).run(input=images, output=tmp_path / "r", components=3)
    shutil.rmtree(images)
    assert asked("report", tmp_path / "r").returncode == 0
    html = (tmp_path / "r" / "report.html").read_text()
    assert "14 thumbnails left out: no file of the input can be read" in html
    assert "data:image/jpeg" not in html


@pytest.mark.local("needs no engine")
def test_it_is_refused_where_there_are_no_results_and_while_a_run_has_them(inprocess: object, images: Path, tmp_path: Path) -> None:
    ended = asked("report", tmp_path)
    assert ended.returncode == 2
    assert "has no report.json" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
    Engine("inprocess", inprocess).run(input=images, output=tmp_path / "r", features_only=True)
    before = (tmp_path / "r" / "report.html").stat().st_mtime_ns
    with holder(str(tmp_path / "r")) as other:
        assert told(other) == "held\n"
        ended = asked("report", tmp_path / "r")
    assert ended.returncode == 2
    assert "is in use by a run of" in ended.stderr
    assert (tmp_path / "r" / "report.html").stat().st_mtime_ns == before


@pytest.mark.local("alters a local folder")
def test_a_run_whose_page_cannot_be_written_ends_well(inprocess: object, images: Path, tmp_path: Path) -> None:
    """A folder is where the page belongs."""
    engine, results = Engine("inprocess", inprocess), tmp_path / "r"
    job = {"input": images, "output": results, "components": 3}
    engine.run(**job)
    (results / "report.html").unlink()
    (results / "report.html").mkdir()
    shutil.copy(sorted(SAMPLE.glob("*/*.jpg"))[-1], images / "one more.jpg")
    done = engine.run(**job)
    assert (results / "report.html").is_dir()
    (note,) = [note for note in done.notes if note.startswith("no page: ")]
    assert "Is a directory" in note
    assert note.endswith("; python -m fruits report makes it")
    assert note in report(results)["notes"]
    assert done.images.featurized == 15
    assert "report.html" not in {file["name"] for file in report(results)["files"]}
    assert asked("validate", results).returncode == 0
    refused = asked("report", results)
    assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)
    assert "cannot be written: Is a directory" in refused.stderr
    (results / "report.html").rmdir()
    assert asked("report", results).returncode == 0
    assert asked("validate", results).returncode == 0


@pytest.mark.local("alters a local folder")
def test_where_the_page_alone_is_lost_or_altered_the_same_command_makes_it_again(typed: Type, tmp_path: Path) -> None:
    results = tmp_path / "r"
    arguments = ("--output", str(results), "--components", "3", "--pca", "moments")
    first = cli(*arguments)
    assert first.returncode == 0, first.stderr
    assert f"the page: {results}/report.html\n" in first.stdout
    page, content = (results / "report.html").read_bytes(), report(results)
    for altered in (None, page[:-1]):
        (results / "report.html").unlink() if altered is None else (results / "report.html").write_bytes(altered)
        again = typed(*arguments)
        assert "nothing to do" in again.stdout
        assert "no page yet" not in again.stdout
        assert "note: report.html is missing, or not what was written: it is made again" in again.stderr
        assert (results / "report.html").read_bytes() == page
        assert report(results) == content
    content["files"] = [file for file in content["files"] if file["name"] != "report.html"]
    (results / "report.json").write_text(json.dumps(content))
    assert f"; no page yet: python -m fruits report {results}\n" in typed(*arguments).stdout
