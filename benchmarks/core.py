"""The work itself without any engine: the decoder, network and batch of the product, for the loops it is compared with.

Needs Pillow, numpy and LiteRT, and nothing of this package: peers run it in environments of their own.
"""

import io
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

GRAPH = Path(__file__).parents[1] / "fruits" / "weights" / "mobilenet_v2_1.0_224.tflite"
SIDE, FEATURES = 224, 1280
A_TASK = 128  # images


class Network:
    """LiteRT on one thread. RGB bytes [n, 224, 224, 3], n up to the batch, to features [n, 1280]."""

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self._interpreter = Interpreter(model_path=str(GRAPH), num_threads=1)
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._interpreter.resize_tensor_input(self._input, [batch, SIDE, SIDE, 3])
        self._interpreter.allocate_tensors()
        self._pixels = np.zeros((batch, SIDE, SIDE, 3), np.uint8)

    def features(self, contents: Sequence[bytes]) -> "np.ndarray":
        """Of any number of encoded images, [n, 1280]."""
        found = np.empty((len(contents), FEATURES), np.float32)
        for start in range(0, len(contents), self.batch):
            part = contents[start : start + self.batch]
            found[start : start + len(part)] = self.infer([decoded(content) for content in part])
        return found

    def infer(self, pixels: Sequence["np.ndarray"]) -> "np.ndarray":
        """Of RGB bytes [224, 224, 3] each, no more than the batch."""
        for row, image in enumerate(pixels):
            self._pixels[row] = image
        self._interpreter.set_tensor(self._input, self._pixels)
        self._interpreter.invoke()
        features: np.ndarray = self._interpreter.get_tensor(self._output)[: len(pixels)]
        return features


def decoded(content: bytes) -> "np.ndarray":
    with Image.open(io.BytesIO(content)) as image:
        rgb = image if image.mode == "RGB" else image.convert("RGB")
        return np.asarray(rgb.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


@cache
def network(batch: int) -> Network:
    """One a process."""
    return Network(batch)


def _task(work: tuple[int, Sequence[str]]) -> int:
    batch, files = work
    for start in range(0, len(files), batch):  # no more in memory than a batch
        network(batch).features([Path(file).read_bytes() for file in files[start : start + batch]])
    return len(files)


def loop(files: Sequence[str], processes: int, batch: int) -> float:
    """Seconds that so many processes take for the files, after each has loaded the network. Nothing is written."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.map(_task, [(batch, files[:64])] * (2 * processes), chunksize=1)
        started = time.perf_counter()
        done = sum(pool.imap_unordered(_task, [(batch, files[i : i + A_TASK]) for i in range(0, len(files), A_TASK)]))
        seconds = time.perf_counter() - started
    assert done == len(files)
    return seconds


def files_below(folder: str) -> list[str]:
    return sorted(os.path.join(parent, name) for parent, _, names in os.walk(folder) for name in names)


def main() -> None:
    """`python -m benchmarks.core FOLDER PROCESSES BATCH`: prints seconds."""
    folder, processes, batch = sys.argv[1:]
    print(loop(files_below(folder), int(processes), int(batch)))


if __name__ == "__main__":
    main()
