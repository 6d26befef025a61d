"""The notebook, cell by cell, in a kernel that does what sparkmagic's does: sparkmagic itself, and Livy, nobody has seen here."""

import base64
import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import boto3
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from bootstrap.aws import Account
from bootstrap.jupyter import KEY, NOTEBOOK, place

from .world import BUCKET, REGION, bucket

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "fruits" / "sample" / "Test"
KERNEL = Path(__file__).with_name("pyspark_kernel.py")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight labels of the sample, a file that is no picture, and the fruits.toml that says where they are, as a node has one."""
    folder = tmp_path_factory.mktemp("cluster")
    for label in sorted(SAMPLE.iterdir())[:8]:
        shutil.copytree(label, folder / "Test" / label.name)
    (folder / "Test" / "Broken").mkdir()
    (folder / "Test" / "Broken" / "0.jpg").write_bytes(b"no picture")
    (folder / "fruits.toml").write_text(f'input = "{folder}/Test"\noutput = "{folder}/Results"\nbackend = "dask"\n')
    return folder


@pytest.fixture(scope="module")
def done(folder: Path) -> Any:
    """The notebook after all of its cells have run, as it is stored and read again."""
    startup = folder / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    shutil.copy(KERNEL, startup)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("JUPYTER_DATA_DIR", str(folder / "jupyter"))
        patch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
        notebook = nbformat.read(NOTEBOOK, as_version=4)
        NotebookClient(notebook, kernel_name="python3", timeout=240, resources={"metadata": {"path": str(folder)}}).execute()
    nbformat.write(notebook, folder / "done.ipynb")
    return nbformat.read(folder / "done.ipynb", as_version=4)


def report(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "Results" / "report.json").read_text()))


def outputs(done: Any) -> list[Any]:
    return [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]


def text(done: Any) -> str:
    return "".join(
        output.text for cell in done.cells if cell.cell_type == "code" for output in cell.outputs if output.output_type == "stream"
    )


def test_it_is_stored_without_outputs_for_the_pyspark_kernel() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "pysparkkernel"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not [cell for cell in code if cell.outputs or cell.execution_count]
    assert not [cell for cell in code if max(len(line) for line in cell.source.splitlines()) > 140]


def test_the_text_that_stays_in_it_is_the_reports(done: Any, folder: Path) -> None:
    of, said = report(folder), text(done)
    images = of["images"]
    assert images["featurized"] == sum(1 for _ in (folder / "Test").rglob("*.jpg")) - 1
    assert f"{images['found']} images: {images['featurized']} featurized, 1 rejected, by spark\n" in said
    for stage in of["stages"]:
        assert f"{stage['name']:>10} {stage['seconds']:8.1f} s\n" in said
    (reason,) = of["rejected_by_reason"]
    assert f"{reason}: 1\n" in said
    assert "Broken/0.jpg" in said
    for label, count in of["labels"].items():
        assert f"{label:>24} {count:6}\n" in said


def test_the_variance_that_it_tells_is_the_reports(done: Any, folder: Path) -> None:
    shares, said = report(folder)["explained_variance"], text(done)
    for count in (1, 2, 5, 10, 20, len(shares)):
        assert f"{count:10} {shares[count - 1]:10.4f}\n" in said
    for share in (0.8, 0.9, 0.95):
        assert f"{share:.0%} of it: the first {int(np.argmax(np.array(shares) >= share)) + 1}\n" in said


def test_the_picture_is_a_png_in_the_notebook_with_every_image_in_it(done: Any, folder: Path) -> None:
    (data,) = [output.data for output in outputs(done) if "image/png" in output.get("data", {})]
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).convert("RGB")
    pixels = np.asarray(picture).reshape(-1, 3).astype(int)
    assert picture.size == (900, 900)
    # Eight labels of five images: eight colours that are neither grey, black nor white, each of more than two points.
    colours, counts = np.unique(pixels[np.ptp(pixels, axis=1) > 100], axis=0, return_counts=True)
    assert len(colours[counts > 50]) == 8
    featurized = report(folder)["images"]["featurized"]
    assert f"{featurized} of {featurized} images\n" in text(done)


@pytest.mark.usefixtures("aws")
def test_it_is_put_where_jupyterhub_looks_and_never_over_the_users_own() -> None:
    bucket()
    account, s3 = Account(REGION), boto3.client("s3", region_name=REGION)
    assert place(account, BUCKET)
    assert KEY == "jupyter/jovyan/fruits.ipynb"
    assert s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == NOTEBOOK.read_bytes()
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"{}")
    assert not place(account, BUCKET)
    assert s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == b"{}"
