"""One LiteRT file for an application: network, projection and labels, with the labels' names inside.

Input `pixels`: uint8 [n, 224, 224, 3], RGB. Outputs: `pca_features` float32 [n, k]; `labels` int32 [n, 5], lines of labels.txt counted
from 0, the surest first; `confidences` float32 [n, 5] of these. To the FlatBuffer a zip archive is appended, as TensorFlow Lite's
metadata tools do: labels.txt, a name a line, and fruits.json. Interpreters do not see it, unzippers see nothing else.
"""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

import fruits
from fruits.completed import Completed
from fruits.decode import Rejected
from fruits.errors import BadArgument, RunFailed
from fruits.graph import converted, featurizer
from fruits.identifier import Identifier, identifier
from fruits.model import BANNER, PREPROCESSING, SIDE, check_installed, stderr_held
from fruits.query import Photos, check_model
from fruits.sampled import sampled
from fruits.storage import normalized

if TYPE_CHECKING:
    import numpy.typing as npt

LABELS, ABOUT = "labels.txt", "fruits.json"
NEAREST = 5
TOLERANCE = 1e-3  # of pca_features
_CHECKED = 16
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # zip's first day: the same content, the same bytes


@dataclass(frozen=True)
class App:
    """`check`: in words, how far its pca_features are from those of the results."""

    data: bytes
    labels: int
    check: str


def app(results: str, threshold: float, note: Callable[[str], None]) -> App:
    """`threshold`: of the confidence, for the application. `note` is told why it takes time.

    Raises `BadArgument` for results that an application cannot reproduce, `MissingPackage` without
    TensorFlow or LiteRT, and `RunFailed` where the file does not give the results' pca_features.
    """
    check_installed("keras")
    check_installed("litert")  # puts images through the file
    completed = Completed.at(results)
    check_model(completed.report)
    if (precision := completed.report.model["precision"]) != "float32":
        raise BadArgument(
            f"the results are of {precision}, and an application computes in float32: other features",
            "run again without --precision, to another --output",
        )
    known = identifier(completed)
    for label in known.labels:
        if len(label.splitlines()) > 1:
            raise BadArgument(f"the label {label!r} has a line break, and {LABELS} has a label a line", "rename its folder, and run again")
    note("TensorFlow converts the network: some 20 s")
    with stderr_held(but=b""):
        model = _converted(completed, known)
    return App(_with_files(model, completed, known, threshold), len(known.labels), checked(completed, model))


def _converted(completed: Completed, known: Identifier) -> bytes:
    """The file without its zip archive."""
    network = featurizer()
    import tensorflow as tf

    projection, uncentred = completed.projection, completed.uncentred
    components = (projection.components * projection.scale).T
    lengths = np.square(known.centroids).sum(axis=1)

    class Head(tf.keras.layers.Layer):  # type: ignore[misc]
        """What `Projection.apply` and `Identifier.confidences` compute, in float32: so the mean, which would cost digits, goes first, and
        where it belongs to the pca_features it is added last."""

        def call(self, features: Any) -> dict[str, Any]:
            centred = tf.matmul(features - constant(projection.mean), constant(components))
            pca_features = centred + constant(projection.offset) if uncentred else centred
            white = tf.matmul(centred, constant(known.whitening))
            products = tf.matmul(white, constant(known.centroids.T))
            squares = tf.reduce_sum(white * white, 1, keepdims=True) - 2.0 * products + constant(lengths)
            none = tf.zeros_like(squares[:, :1]) + known.limit
            confidences = tf.nn.softmax(tf.concat([squares, none], 1) / (-2.0 * known.temperature))[:, :-1]
            best = tf.math.top_k(confidences, k=min(NEAREST, len(known.labels)))
            return {"pca_features": pca_features, "labels": best.indices, "confidences": best.values}

    def constant(values: "npt.NDArray[np.float64]") -> Any:
        return tf.constant(values, tf.float32)

    return converted(tf.keras.Model(network.input, Head(name="head")(network.output), name="app"))


def checked(completed: Completed, model: bytes) -> str:
    """Puts images of the results through the file, and says how far off it is. Raises `RunFailed` where that is too far."""
    from ai_edge_litert.interpreter import Interpreter

    with stderr_held(but=BANNER):
        interpreter = Interpreter(model_content=model, num_threads=1)
        run = interpreter.get_signature_runner()
        run(pixels=np.zeros((1, SIDE, SIDE, 3), np.uint8))
    photos, rows = Photos(completed.report), sampled(completed.folder, completed.report, _CHECKED)
    off, count, why = 0.0, 0, ""
    for path, vector in zip(rows.paths, rows.vectors, strict=True):
        try:
            pixels = photos.pixels(normalized(path))
        except Rejected as rejected:
            why = f"{rejected.reason}: {rejected.detail}"
            continue
        except BadArgument as failed:
            why = failed.message
            continue
        off = max(off, float(np.abs(run(pixels=pixels[None])["pca_features"][0] - vector).max()))
        count += 1
    if off > TOLERANCE:
        raise RunFailed(
            f"the file gives other pca_features than the results have: off by up to {off:.2g} in {count} images",
            "run again with --fresh where the images have changed since, or without --standardize, which blows up what hardly varies",
        )
    if not count:
        return f"not checked, for no image of the results can be read here: {why}"
    return f"checked with {count} images of the results, whose pca_features are off by {off:.1e} at most"


def _with_files(model: bytes, completed: Completed, known: Identifier, threshold: float) -> bytes:
    """The model with a zip archive at its end."""
    report, held_out = completed.report, known.held_out
    named, right = held_out.named(threshold)
    about = {
        "fruits": fruits.__version__,
        "model": report.model,
        "fingerprint": report.fingerprint,
        "input": f"pixels: uint8 [n, {SIDE}, {SIDE}, 3], {PREPROCESSING.split(', x /')[0]}, antialiased, proportions not kept",
        "outputs": {
            "pca_features": f"float32 [n, {len(report.explained_variance)}]",
            "labels": f"int32 [n, {min(NEAREST, len(known.labels))}], lines of {LABELS} counted from 0, the surest first",
            "confidences": "float32, of these labels",
        },
        "threshold": threshold,
        "unknown": "where the first confidence is below the threshold",
        "held_out": {
            "images": len(held_out.right),
            "by_series": held_out.by_series,
            "nearest_label_right": held_out.accuracy,
            "named_at_threshold": named,
            "named_right": right,
        },
    }
    contents = {LABELS: "".join(f"{label}\n" for label in known.labels), ABOUT: json.dumps(about, indent=2, ensure_ascii=False)}
    file = io.BytesIO(model)
    with zipfile.ZipFile(file, "a") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name, _LONG_AGO), content)
    return file.getvalue()
