"""Results and photos on S3, as the commands that look at results read them."""

import json
from pathlib import Path

import pytest

import s3
from conftest import SAMPLE, cli, table

pytestmark = pytest.mark.local("a server of its own, and no engine")


def test_results_and_photos_on_s3(sample_results: Path, tmp_path: Path) -> None:
    photo = sorted(SAMPLE.glob("*/*.jpg"))[100]
    with s3.moto_server(tmp_path / "log") as server:
        environment = s3.environment(server, tmp_path, s3.KEYS)
        fs = s3.filesystem(server)
        fs.mkdir("fruits")
        for file in sample_results.rglob("*"):
            if file.is_file() and "_fruits" not in file.parts:
                fs.pipe(f"fruits/Results/{file.relative_to(sample_results)}", file.read_bytes())
        fs.pipe("fruits/photos/odd name #1 é.jpg", photo.read_bytes())
        asked = ("s3://fruits/Results", "s3a://fruits/photos/odd name #1 é.jpg")
        answered = cli("similar", *asked, "--json", "--page", "s3://fruits/page.html", cwd=tmp_path, **environment)
        assert answered.returncode == 0, answered.stderr
        found = json.loads(answered.stdout)
        assert found["image"] == "s3://fruits/photos/odd name #1 é.jpg"
        assert (found["neighbours"][0]["path"], found["neighbours"][0]["distance"]) == (str(photo), 0.0)
        assert found["compared"] == len(table(sample_results, "pca"))
        assert fs.cat("fruits/page.html").count(b"data:image/jpeg") == 13
        answered = cli("identify", *asked, "s3://fruits/photos/none.jpg", "--json", cwd=tmp_path, **environment)
        first, missing = json.loads(answered.stdout)
        assert (answered.returncode, first["nearest"]) == (1, photo.parent.name)
        assert (missing["label"], missing["reason"]) == (None, "not-found")
        refused = cli("similar", "s3://fruits/nothing", photo, cwd=tmp_path, **environment)
        assert (refused.returncode, "there is no folder s3://fruits/nothing" in refused.stderr) == (2, True), refused.stderr
    assert not [value for value in s3.KEYS.values() if value in answered.stderr + refused.stderr]
