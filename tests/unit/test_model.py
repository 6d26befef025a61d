"""The network: its weights, the graph that is made from them, and what one call gives."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

from conftest import SAMPLE
from fruits.errors import RunFailed
from fruits.model import GRAPH, WEIGHTS, Asset, network


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    photos = [photo for label in sorted(SAMPLE.iterdir()) for photo in sorted(label.glob("*.jpg"))][::10][:32]
    return np.stack([np.asarray(Image.open(photo).resize((224, 224))) for photo in photos])


def test_litert_does_not_depend_on_the_batch(pixels: np.ndarray) -> None:
    litert = network("litert")
    one_by_one = np.concatenate([litert(pixels[i : i + 1]) for i in range(32)])
    assert one_by_one.shape == (32, 1280)
    assert one_by_one.dtype == np.float32
    for size in range(2, 33):
        batches = np.concatenate([litert(pixels[i : i + size]) for i in range(0, 32, size)])
        assert np.array_equal(batches, one_by_one), f"batch of {size}"


def test_keras_and_litert_agree(pixels: np.ndarray) -> None:
    assert np.abs(network("keras")(pixels) - network("litert")(pixels)).max() < 5e-5


def test_the_graph_is_made_from_the_weights(pixels: np.ndarray, tmp_path: Path) -> None:
    """The documented command, in a fresh process. TensorFlow folds the batch normalisations with the processor's own vector units: on the
    same kind of processor the file comes out byte for byte, on another (Intel for AMD) features differ by 7e-6."""
    made = tmp_path / "graph.tflite"
    subprocess.run([sys.executable, "-m", "fruits.graph", str(made)], check=True, capture_output=True, timeout=240)
    shipped, rebuilt = Interpreter(model_path=str(GRAPH.path)), Interpreter(model_path=str(made))
    assert _tensors(rebuilt) == _tensors(shipped)
    assert np.abs(_run(rebuilt, pixels) - _run(shipped, pixels)).max() < 2e-5


def _tensors(interpreter: Interpreter) -> list[tuple[str, list[int], type]]:
    return [(tensor["name"], tensor["shape"].tolist(), tensor["dtype"]) for tensor in interpreter.get_tensor_details()]


def _run(interpreter: Interpreter, pixels: np.ndarray) -> np.ndarray:
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, pixels.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(index, pixels)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("asset", [WEIGHTS, GRAPH])
def test_an_altered_file_is_not_loaded(asset: Asset, tmp_path: Path) -> None:
    data = asset.path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == asset.sha256
    (tmp_path / "altered").write_bytes(data[:-1] + b"x")
    with pytest.raises(RunFailed, match="is not the file that was shipped"):
        Asset(tmp_path / "altered", asset.sha256).checked()
