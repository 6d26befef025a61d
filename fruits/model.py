"""The network: MobileNetV2 up to its penultimate layer, one instance a process.

MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381), alpha 1.0, ImageNet weights of keras.applications, global average pooling of the
last convolution: 1280 features an image.
"""

import hashlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, get_args

from fruits import dummies
from fruits.errors import BadArgument, RunFailed
from fruits.machine import multiplies_bfloat16
from fruits.packages import Needs, check_packages

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Features = npt.NDArray[np.float32]

MODEL_NAME = "MobileNetV2 1.0 224 ImageNet, penultimate layer"
PREPROCESSING = "RGB, bicubic 224x224, x / 127.5 - 1"
SIDE = 224
FEATURES = 1280

Engine = str  # one of ENGINES, or of `fruits.dummies`
Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)


class EngineNeeds(NamedTuple):
    module: str
    extra: str  # what to install for it
    batch_size: int  # images a call, unless the user says otherwise
    precisions: tuple[Precision, ...] = ("float32",)
    reads: bool = True  # images; without, it is given blank ones
    infers: bool = True


# LiteRT and OpenVINO are fastest where a batch stays in a core's cache (figures in docs/decisions.md); Keras has a fixed cost a call.
ENGINES: dict[str, EngineNeeds] = {
    "litert": EngineNeeds("ai_edge_litert", "worker", 2),
    "keras": EngineNeeds("tensorflow", "keras", 16),
    "openvino": EngineNeeds("openvino", "openvino", 2, PRECISIONS),
}


def needs(engine: Engine) -> EngineNeeds:
    """Raises `BadArgument` where there is no such engine."""
    if dummies.is_dummy(engine):
        dummies.dummy(engine, FEATURES)
        return EngineNeeds("time", "worker", 16, reads=engine == dummies.READ, infers=False)
    if engine not in ENGINES:
        raise BadArgument(f"there is no engine {engine!r}", f"choose one of: {', '.join(ENGINES)}")
    return ENGINES[engine]


def check_installed(engine: Engine) -> None:
    """Raises `MissingPackage` where the engine's package is not installed; imports nothing."""
    runtime = needs(engine)
    check_packages(f"the engine {engine}", Needs(runtime.extra, (runtime.module,)))


def check_processor(precision: Precision) -> None:
    """Raises `BadArgument` for bfloat16 where this machine's processor has no instructions for it: it would be emulated, and slower."""
    if precision == "bfloat16" and not multiplies_bfloat16():
        raise BadArgument("--precision bfloat16: the processor of this machine has neither AVX512-BF16 nor AMX", "leave out --precision")


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
def network(engine: Engine, precision: Precision = "float32") -> Network:
    """The process's one instance; raises `MissingPackage` and `BadArgument` as `check_installed` and `check_processor` do."""
    if dummies.is_dummy(engine):
        return dummies.dummy(engine, FEATURES)
    if engine == "openvino":
        return OpenVINO(precision)
    return LiteRT() if engine == "litert" else Keras()


class LiteRT:
    """LiteRT's interpreter on one thread. The output does not depend on the batch: checked for 1 to 32."""

    def __init__(self) -> None:
        check_installed("litert")
        from ai_edge_litert.interpreter import Interpreter

        # As bytes: the file may be replaced by an update while workers run.
        with stderr_held(but=BANNER):
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


# LiteRT tells on every start that it uses XNNPACK, and has no switch for that in Python.
BANNER = b"Created TensorFlow Lite XNNPACK delegate"


@contextmanager
def stderr_held(but: bytes) -> Iterator[None]:
    """What is written to standard error in the block, from C++ too, comes after it, without the lines that hold `but` (all hold `b""`);
    where the block fails, with them."""
    sys.stderr.flush()
    stderr, unheard = os.dup(2), None
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
            unheard = but
        except KeyboardInterrupt:
            unheard = but
            raise
        finally:
            os.dup2(stderr, 2)
            said.seek(0)
            os.write(2, b"".join(line for line in said if unheard is None or unheard not in line))
            os.close(stderr)


class OpenVINO:
    """OpenVINO on one thread, with the graph that LiteRT runs. The output does not depend on the batch: checked for 1 to 32.

    A graph is compiled (0.1 s) for a batch: with an open one float32 takes a tenth longer. So there are two, for the largest batch that
    came and for one image; a smaller batch, such as the last of a chunk, goes image by image.
    """

    def __init__(self, precision: Precision) -> None:
        check_installed("openvino")
        check_processor(precision)
        with _without_telemetry():
            from openvino import Core

        self._core = Core()
        self._model = self._core.read_model(GRAPH.checked())
        self._settings = {
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": 1,
            "ENABLE_CPU_PINNING": False,  # no process knows which cores the others are bound to
        }
        self._one = self._many = self._compiled(1)
        self._batch = 1
        self._lock = threading.Lock()  # as in LiteRT

    def __call__(self, pixels: "Pixels") -> "Features":
        import numpy as np

        with self._lock:
            if len(pixels) > self._batch:
                self._many, self._batch = self._compiled(len(pixels)), len(pixels)
            if len(pixels) == self._batch:
                return self._features(self._many, pixels)
            return np.concatenate([self._features(self._one, pixels[i : i + 1]) for i in range(len(pixels))])

    def _compiled(self, batch: int) -> Any:
        self._model.reshape([batch, SIDE, SIDE, 3])
        return self._core.compile_model(self._model, "CPU", self._settings).create_infer_request()

    @staticmethod
    def _features(request: Any, pixels: "Pixels") -> "Features":
        request.infer([pixels])
        features: Features = request.get_output_tensor(0).data.copy()  # the next call writes to the same memory
        return features


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Importing openvino tells Google Analytics, and writes an identity to ~/intel, unless openvino-telemetry is not there to be imported.
    None in `sys.modules` is Python's own way to say so; openvino has a stub for that."""
    name = "openvino_telemetry"
    before = {name: sys.modules[name]} if name in sys.modules else {}
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
        sys.modules.update(before)


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
