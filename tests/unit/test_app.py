"""The file for an application, run with LiteRT and Pillow alone, as an application does."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from conftest import DATA, ROOT, SAMPLE, Engine, asked, cli, report, table, vectors
from fruits.app import app, checked
from fruits.completed import Completed
from fruits.errors import BadArgument, RunFailed
from fruits.report import read_report

DOC = Path(__file__).parents[2] / "docs" / "app.md"
STRANGER = DATA / "awkward" / "hopper_gray.jpg"


@pytest.fixture(scope="module")
def exported(sample_results: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("app") / "app.tflite"
    made = cli("export", sample_results, file)
    assert made.returncode == 0, made.stderr
    assert re.search(r"67 labels; checked with 16 images of the results, whose pca_features are off by \d\.\de-\d\d at most", made.stdout)
    assert made.stderr == "TensorFlow converts the network: some 20 s\n"
    return file


def pixels(photo: Path | str) -> np.ndarray:
    return np.asarray(Image.open(photo).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC))


def test_all_images_of_the_sample_have_the_pca_features_of_the_run(exported: Path, sample_results: Path) -> None:
    run = Interpreter(str(exported)).get_signature_runner()
    rows = table(sample_results, "pca")
    assert len(rows) == 335
    found = np.concatenate([run(pixels=pixels(path)[None])["pca_features"] for path in rows["path"]])
    off = np.abs(found - vectors(sample_results, "pca")).max()
    print(f"largest difference: {off:.2g}")
    assert off < 1e-3


def test_labels_and_confidences_are_those_of_identify(exported: Path, sample_results: Path) -> None:
    photos = [*sorted(map(str, SAMPLE.glob("*/*.jpg")))[::30], str(STRANGER)]
    said = json.loads(asked("identify", sample_results, *photos, "--json").stdout)
    with zipfile.ZipFile(exported) as inside:
        assert inside.testzip() is None
        labels = inside.read("labels.txt").decode().splitlines()
        about = json.loads(inside.read("fruits.json"))
    assert labels == sorted(folder.name for folder in SAMPLE.iterdir())
    assert about["threshold"] == 0.5
    assert about["fingerprint"] == report(sample_results)["fingerprint"]
    interpreter = Interpreter(str(exported))
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], [len(photos), 224, 224, 3])
    found = interpreter.get_signature_runner()(pixels=np.stack([pixels(photo) for photo in photos]))
    assert (found["labels"].dtype, found["labels"].shape) == (np.int32, (len(photos), 5))
    assert [labels[best] for best in found["labels"][:, 0]] == [one["nearest"] for one in said]
    np.testing.assert_allclose(found["confidences"][:, 0], [one["confidence"] for one in said], atol=1e-3)
    assert (np.diff(found["confidences"], axis=1) <= 0).all()
    assert found["confidences"][-1, 0] < about["threshold"]


def test_the_example_of_the_docs_runs_as_it_stands_there(exported: Path, tmp_path: Path) -> None:
    """In a Python that has neither fruits nor TensorFlow."""
    (example,) = re.findall(r"```python\n(.*?)```", DOC.read_text(), re.DOTALL)
    assert len(example.splitlines()) <= 22
    (tmp_path / "identify.py").write_text(example)
    without = "import runpy, sys; sys.modules.update(dict.fromkeys(('fruits', 'tensorflow', 'pyarrow'))); runpy.run_path('identify.py')"
    known = sorted(SAMPLE.glob("*/*.jpg"))[60]
    for photo, expected in ((known, known.parent.name), (STRANGER, "unknown")):
        command = [sys.executable, "-c", without, exported, photo]
        ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=True).stdout.splitlines()
        assert len(ran) == 6
        assert all(re.fullmatch(r"[01]\.\d{3} .+", line) for line in ran[:5])
        assert ran[5] == expected


def test_a_run_without_the_mean_and_with_unit_variance(exported: Path, tmp_path: Path, inprocess: object) -> None:
    """And that the file of another run is noticed to be wrong for it."""
    Engine("inprocess", inprocess).run(output=tmp_path / "r", uncentred=True, standardize=True)
    run = Interpreter(model_content=app(str(tmp_path / "r"), 0.5, print).data).get_signature_runner()
    paths = table(tmp_path / "r", "pca")["path"][::8]
    found = np.concatenate([run(pixels=pixels(path)[None])["pca_features"] for path in paths])
    np.testing.assert_allclose(found, vectors(tmp_path / "r", "pca")[::8], rtol=0, atol=1e-3)
    with pytest.raises(RunFailed, match=r"other pca_features than the results have: off by up to [\d.e+]+ in 16 images"):
        checked(Completed.at(str(tmp_path / "r")), exported.read_bytes())


def altered(results: Path, tmp_path: Path, **model: str) -> str:
    """The results as those of another model."""
    (tmp_path / "r").mkdir()
    for part in results.iterdir():
        (tmp_path / "r" / part.name).symlink_to(part)
    content = report(results)
    content["model"].update(model)
    (tmp_path / "r" / "report.json").unlink()
    (tmp_path / "r" / "report.json").write_text(json.dumps(content))
    assert read_report(str(tmp_path / "r")).model.items() >= model.items()
    return str(tmp_path / "r")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"precision": "bfloat16"}, "the results are of bfloat16, and an application computes in float32"),
        ({"engine": "sleep:0.001"}, "which looks at no image"),
        ({"weights_sha256": "0" * 64}, "the results were made with another weights_sha256"),
    ],
)
def test_results_that_an_application_cannot_reproduce_are_refused(
    model: dict[str, str], words: str, sample_results: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadArgument, match=words):
        app(altered(sample_results, tmp_path, **model), 0.5, print)


def test_a_label_with_a_line_break_is_refused(images: Path, tmp_path: Path, inprocess: object) -> None:
    next(images.iterdir()).rename(images / "two\nlines")
    Engine("inprocess", inprocess).run(input=images, output=tmp_path / "r", components=3)
    with pytest.raises(BadArgument, match="has a line break"):
        app(str(tmp_path / "r"), 0.5, print)


def test_without_tensorflow_it_says_what_to_install(sample_results: Path, tmp_path: Path) -> None:
    """None in `sys.modules` is Python's own way to say that a module is not there."""
    arguments = ["export", str(sample_results), str(tmp_path / "app.tflite")]
    script = f"import sys; sys.modules['tensorflow'] = None; from fruits.cli import main; main({arguments!r})"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2, ended.stderr
    assert f"-m pip install --editable '{ROOT}[keras]'" in ended.stderr
    assert not list(tmp_path.iterdir())
