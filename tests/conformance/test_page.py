"""The page of every run: a stage, and a file of the results like the others; and the command that makes it again."""

import json
import shutil
from pathlib import Path

import pytest

from conftest import Engine, cli, report
from fruits.page.make import write_again
from leases import holder, told


def test_every_run_has_its_page(engine: Engine, images: Path, tmp_path: Path) -> None:
    (images / "bad.jpg").write_text("no image")
    done = engine.run(input=images, output=tmp_path / "r", components=3)
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
    assert cli("validate", results).returncode == 0
    ended = cli("report", results)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"{results}/report.html: 0.")
    assert (results / "report.html").read_bytes() == page
    assert cli("validate", results).returncode == 0
    assert engine.prepare(input=images, output=results, components=3).complete is not None
    assert not list((results / "_fruits").glob("lease*"))
    (results / "report.html").write_bytes(page[:-1])
    assert "report.html: missing, or not what was written" in cli("validate", results).stderr


@pytest.mark.local("alters a local folder")
def test_images_that_are_gone_leave_thumbnails_out(inprocess: object, images: Path, tmp_path: Path) -> None:
    Engine("inprocess", inprocess).run(input=images, output=tmp_path / "r", components=3)
    shutil.rmtree(images)
    assert cli("report", tmp_path / "r").returncode == 0
    html = (tmp_path / "r" / "report.html").read_text()
    assert "14 thumbnails left out: no file of the input can be read" in html
    assert "data:image/jpeg" not in html


@pytest.mark.local("needs no engine")
def test_it_is_refused_where_there_are_no_results_and_while_a_run_has_them(inprocess: object, images: Path, tmp_path: Path) -> None:
    ended = cli("report", tmp_path)
    assert ended.returncode == 2
    assert "has no report.json" in ended.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
    Engine("inprocess", inprocess).run(input=images, output=tmp_path / "r", features_only=True)
    before = (tmp_path / "r" / "report.html").stat().st_mtime_ns
    with holder(str(tmp_path / "r")) as other:
        assert told(other) == "held\n"
        ended = cli("report", tmp_path / "r")
    assert ended.returncode == 2
    assert "is in use by a run of" in ended.stderr
    assert (tmp_path / "r" / "report.html").stat().st_mtime_ns == before
