"""Photos from anywhere, and which label of a results folder each has."""

from collections.abc import Sequence
from dataclasses import dataclass

from fruits.completed import Completed
from fruits.decode import Rejected
from fruits.identifier import HeldOut, identifier
from fruits.query import Photos, network_of
from fruits.storage import normalized

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Identified:
    """`label`: the nearest, or `UNKNOWN` where its confidence is below the threshold. `nearest`, `confidence`: of the nearest in any case.

    All None where a run would reject the photo, with `reason` and `detail`.
    """

    path: str
    label: str | None
    confidence: float | None
    nearest: str | None
    reason: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Answer:
    """`photos`: in the order in which they were asked."""

    results: str
    threshold: float
    photos: list[Identified]
    held_out: HeldOut


def identify(results: str, photos: Sequence[str], threshold: float) -> Answer:
    """Of photos at paths or URLs. Raises `BadArgument` as `Completed.at`, `network_of` and `identifier` do."""
    completed = Completed.at(results)
    infer, reading, urls = network_of(completed.report), Photos(completed.report), [normalized(photo) for photo in photos]
    known = identifier(completed)

    def identified(url: str) -> Identified:
        try:
            features = infer(reading.pixels(url)[None])
        except Rejected as rejected:
            return Identified(url, None, None, None, str(rejected.reason), rejected.detail)
        confidences = known.confidences(completed.projection.apply(features, completed.uncentred))[0]
        best = int(confidences.argmax())
        confidence, nearest = float(confidences[best]), known.labels[best]
        return Identified(url, nearest if confidence >= threshold else UNKNOWN, confidence, nearest)

    return Answer(completed.folder.url, threshold, [identified(url) for url in urls], known.held_out)
