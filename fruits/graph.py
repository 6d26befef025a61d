"""Builds the LiteRT graph that workers run from the Keras weights that this package ships.

    python -m fruits.graph [FILE.tflite]    # needs the extra `keras`; default: the package's own

The graph takes RGB bytes, uint8 [batch, 224, 224, 3], and returns features, float32 [batch, 1280]. The scaling to [-1, 1]
is part of it: a byte is a quarter of a float to hand over, and the conversion costs 0.2 ms an image outside. The same versions of
TensorFlow and Keras give the same bytes, in a fresh process.
"""

import contextlib
import hashlib
import io
from pathlib import Path
from typing import Any

import rich_click as click

from fruits.guard import guarded
from fruits.model import GRAPH, SIDE, WEIGHTS, check_installed, keras_model
from fruits.target import Target


def build() -> bytes:
    """The graph as a FlatBuffer; raises `MissingPackage` where TensorFlow is not installed."""
    return converted(featurizer())


def featurizer() -> Any:
    """The Keras model of the graph; raises `MissingPackage`."""
    network = keras_model()
    import tensorflow as tf

    pixels = tf.keras.Input((SIDE, SIDE, 3), dtype="uint8", name="pixels")
    scaled = tf.keras.layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(pixels)
    return tf.keras.Model(pixels, network(scaled), name="featurizer")


def converted(model: Any) -> bytes:
    """A Keras model as a FlatBuffer."""
    import tensorflow as tf

    with contextlib.redirect_stdout(io.StringIO()):  # the converter tells of every tensor
        graph: bytes = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    return graph


@click.command()
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.tflite", default=GRAPH.path)
def main(file: Path) -> None:
    """Build the graph that workers run, from the Keras weights."""

    def work() -> int:
        check_installed("keras")
        Target.at(str(file), ".tflite")
        graph = build()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(graph)
        sha256 = hashlib.sha256(graph).hexdigest()
        click.echo(f"{file}: {len(graph)} bytes, sha256 {sha256}, from {WEIGHTS.path.name}")
        return 0

    guarded(work)


if __name__ == "__main__":
    main(prog_name="python -m fruits.graph")
