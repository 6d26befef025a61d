"""The network: MobileNetV2 up to its penultimate layer, one instance a process.

MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381), alpha 1.0, ImageNet weights of keras.applications, global average pooling of the
last convolution: 1280 features an image.
"""

import hashlib
import importlib.util
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from fruits.errors import MissingPackage, RunFailed

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Features = npt.NDArray[np.float32]

MODEL_NAME = "MobileNetV2 1.0 224 ImageNet, penultimate layer"
PREPROCESSING = "RGB, bicubic 224x224, x / 127.5 - 1"
SIDE = 224
FEATURES = 1280

Engine = Literal["litert", "keras"]


class EngineNeeds(NamedTuple):
    module: str
    extra: str  # what to install for it
    batch_size: int  # images a call, unless the user says otherwise


# LiteRT is fastest where a batch stays in a core's cache (DESIGN section 5); Keras has a fixed cost a call.
ENGINES: dict[str, EngineNeeds] = {
    "litert": EngineNeeds("ai_edge_litert", "worker", 2),
    "keras": EngineNeeds("tensorflow", "keras", 16),
}


def check_installed(engine: Engine) -> None:
    """Raises `MissingPackage` where the engine's package is not installed; imports nothing."""
    if importlib.util.find_spec(ENGINES[engine].module) is None:
        raise MissingPackage(f"the engine {engine}", ENGINES[engine].extra)


@dataclass(frozen=True)
class Asset:
    """A file of the package with the SHA-256 that it must have."""

    path: Path
    sha256: str

    def checked(self) -> Path:
        """The path, once its content is known to be what was shipped; raises `RunFailed` otherwise."""
        found = hashlib.sha256(self.path.read_bytes()).hexdigest()
        if found != self.sha256:
            raise RunFailed(f"{self.path.name} is not the file that was shipped: its sha256 is {found}", "install fruits again")
        return self.path


_FOLDER = Path(__file__).parent / "weights"
WEIGHTS = Asset(
    _FOLDER / "mobilenet_v2_1.0_224_imagenet_no_top.weights.h5",
    "0c0d972b00b604c6f6e4fb0ddee624807aa53d09918808757092ba78fb689cdf",
)
# Made from the weights by `python -m fruits.graph`.
GRAPH = Asset(
    _FOLDER / "mobilenet_v2_1.0_224.tflite",
    "3a4ff6864fb94a02b4ca9f9601af2b1a2efeb2856c4ae5767df66e7059cca745",
)


class Network(Protocol):
    def __call__(self, pixels: "Pixels") -> "Features":
        """RGB bytes [n, 224, 224, 3] to features [n, 1280]."""


@cache
def network(engine: Engine) -> Network:
    """The process's one instance; raises `MissingPackage` where the engine is not installed."""
    return LiteRT() if engine == "litert" else Keras()


class LiteRT:
    """LiteRT's interpreter on one thread. The output does not depend on the batch: checked for 1 to 32."""

    def __init__(self) -> None:
        check_installed("litert")
        from ai_edge_litert.interpreter import Interpreter

        # As bytes: the file may be replaced by an update while workers run.
        with _without_banner():
            self._interpreter = Interpreter(model_content=GRAPH.checked().read_bytes(), num_threads=1)
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._batch = 0
        # An interpreter serves one call at a time, and a borrowed Dask worker may have several threads.
        self._lock = threading.Lock()

    def __call__(self, pixels: "Pixels") -> "Features":
        with self._lock:
            if len(pixels) != self._batch:
                self._interpreter.resize_tensor_input(self._input, [len(pixels), SIDE, SIDE, 3])
                self._interpreter.allocate_tensors()
                self._batch = len(pixels)
            self._interpreter.set_tensor(self._input, pixels)
            self._interpreter.invoke()
            features: Features = self._interpreter.get_tensor(self._output)
        return features


@contextmanager
def _without_banner() -> Iterator[None]:
    """LiteRT tells on every start that it uses XNNPACK, and has no switch for that in Python. Everything else it says is passed on."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            said.seek(0)
            os.write(2, b"".join(line for line in said if b"Created TensorFlow Lite XNNPACK delegate" not in line))
            os.close(stderr)


class Keras:
    """The reference engine: what the notebook ran."""

    def __init__(self) -> None:
        self._model = keras_model()

    def __call__(self, pixels: "Pixels") -> "Features":
        import numpy as np

        scaled = pixels / np.float32(127.5) - np.float32(1)
        features: Features = self._model.predict_on_batch(scaled)
        return features


def keras_model() -> Any:
    """The Keras model with the weights of this package; raises `MissingPackage` where TensorFlow is not installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # no start-up banner from every worker
    check_installed("keras")
    import tensorflow as tf

    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        pass  # this process uses TensorFlow already, and its owner has chosen the threads
    model = tf.keras.applications.MobileNetV2(weights=None, include_top=False, pooling="avg", input_shape=(SIDE, SIDE, 3), alpha=1.0)
    model.load_weights(WEIGHTS.checked())
    return model
