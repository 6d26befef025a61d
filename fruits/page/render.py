"""From figures to HTML. What comes from the data is text wherever it stands: jinja2 escapes all of it, and the script sets no markup."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, StrictUndefined

from fruits.job import SAMPLE
from fruits.neighbours import NONE
from fruits.quality import Accuracy, Odd, Quality
from fruits.report import RunReport
from fruits.sampled import SEED
from fruits.thumbnails import COLUMNS, SIDE

if TYPE_CHECKING:
    import numpy.typing as npt

    from fruits.page.make import Shown

COMPONENTS = 6  # of which two can be chosen for the map
MARKS = (0.8, 0.9, 0.95)
BARS = 40  # labels that are shown at once
LABELS_MOST = 1000  # in a list or table: more weigh on the page and are read by nobody
_NONE = 65_535  # the number of an image that there is not
_STEPS = 65_535  # of a place on the map
_BY_WORKERS = ("featurize", "fit", "project")


def render(report: RunReport, shown: "Shown | None") -> str:
    """The page, which asks nothing of anybody: its policy allows no request and no script but its own."""
    parts = files("fruits.page")
    script = parts.joinpath("page.js").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(share=lambda value: f"{value:.1%}", count=lambda value: f"{value:,}")
    template = environment.from_string(parts.joinpath("page.html.j2").read_text(encoding="utf-8"))
    return template.render(
        report=report,
        where=_where(report),
        style=parts.joinpath("page.css").read_text(encoding="utf-8"),
        script=script,
        script_sha256=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        seconds=sum(stage.seconds for stage in _stages(report)),
        stages=[_stage(stage, report) for stage in _stages(report)],
        variance=_variance(report.explained_variance),
        labels=_bars(report.labels)[:LABELS_MOST],
        bars_shown=BARS,
        reasons=_bars(report.rejected_by_reason),
        provenance=_provenance(report),
        parameters={name: value for name, value in report.job.items() if not (value is None or value is False or value in ({}, []))},
        workers=[(share, share.images / share.seconds if share.seconds else 0.0) for share in report.workers],
        map=None if shown is None else _map(report, shown),
        quality=None if shown is None or shown.quality is None else _quality(shown.quality, shown),
        seed=SEED,
        side=SIDE,
        columns=COLUMNS,
    )


def _where(report: RunReport) -> str:
    folder: str = report.job["input"]
    return "the bundled sample" if folder == SAMPLE else folder.rstrip("/").rpartition("/")[2] or folder


def _stages(report: RunReport) -> list[Any]:
    """Those that were done when the page is made."""
    return [stage for stage in report.stages if stage.name != "page"]


def _stage(stage: Any, report: RunReport) -> dict[str, Any]:
    workers = report.backend["workers"]
    return {"stage": stage, "per_worker": stage.rate / workers if stage.rate and stage.name in _BY_WORKERS else None}


def _bars(counts: Mapping[str, int]) -> list[tuple[str, int, float]]:
    """The most first: name, count, and its length as a share of the longest."""
    most = max(counts.values(), default=1)
    return [(name, count, count / most) for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def _variance(cumulative: Sequence[float]) -> dict[str, Any] | None:
    """The curve of the cumulative share in a box of 1000 x 1000, and how many components each mark takes."""
    if not cumulative or not cumulative[-1]:
        return None
    k = len(cumulative)
    single = np.diff(cumulative, prepend=0.0)
    width = 1000 / k
    steps = [
        f"{number * width:.2f},{1000 * (1 - share):.2f} {(number + 1) * width:.2f},{1000 * (1 - share):.2f}"
        for number, share in enumerate(cumulative)
    ]
    reached = {mark: int(np.searchsorted(cumulative, mark)) + 1 for mark in MARKS if cumulative[-1] >= mark}
    return {
        "k": k,
        "curve": " ".join(steps),
        "bars": [(number * width, 1000 * (1 - share), width, 1000 * share) for number, share in enumerate(single.tolist())],
        "marks": [(mark, reached.get(mark)) for mark in MARKS],
        "rows": list(zip(range(1, k + 1), single.tolist(), cumulative, strict=True)),
    }


def _provenance(report: RunReport) -> list[tuple[str, str]]:
    model, backend = report.model, report.backend
    rows = [
        ("model", model["name"]),
        ("weights, SHA-256", model["weights_sha256"] or "none: an engine without a network"),
        ("graph, SHA-256", model["graph_sha256"] or "none"),
        ("engine", f"{model['engine']}, {model['precision']}"),
        ("preprocessing", model["preprocessing"]),
        ("backend", f"{backend['name']}, {backend['workers']} workers, cluster {backend['cluster']}"),
        *backend["versions"].items(),
        *report.versions.items(),
        *((f"fingerprint of the {name}", digest) for name, digest in report.fingerprint.items()),
        ("started", report.started),
    ]
    return [(name, str(value)) for name, value in rows]


def _packed(numbers: "npt.NDArray[Any]") -> str:
    """As little-endian uint16 in base64: a tenth of what JSON would take, and a script has them at once."""
    return base64.b64encode(np.ascontiguousarray(numbers, "<u2").tobytes()).decode()


def _map(report: RunReport, shown: "Shown") -> dict[str, Any]:
    """What the script draws, and what is said beside it."""
    rows, sheet = shown.rows, shown.thumbnails
    there = set(rows.labels)
    legend = sorted(((label, count) for label, count in report.labels.items() if label in there), key=lambda item: (-item[1], item[0]))
    number = {label: at for at, (label, _) in enumerate(legend)}
    axes = rows.vectors[:, :COMPONENTS].T.astype(np.float64)
    low, high = axes.min(axis=1, keepdims=True), axes.max(axis=1, keepdims=True)
    places = (axes - low) / np.where(high > low, high - low, 1) + np.where(high > low, 0, 0.5)
    return {
        "points": {
            "names": shown.names,
            "labels": list(number),
            "label": _packed(np.array([number[label] for label in rows.labels])),
            "places": _packed(np.round(places * _STEPS)),
            "components": len(axes),
            "near": _packed(np.where(shown.near.indices == NONE, _NONE, shown.near.indices)),
            "neighbours": shown.near.indices.shape[1],
            "thumbnail": _packed(np.array([sheet.places.get(name, _NONE) for name in shown.names])),
            "none": _NONE,
            "columns": COLUMNS,
            "side": SIDE,
        },
        "rows": rows,
        "components": len(axes),
        "legend": legend,
        "jpeg": base64.b64encode(sheet.jpeg).decode(),
        "width": min(len(sheet.places), COLUMNS) * SIDE,
        "height": -(-len(sheet.places) // COLUMNS) * SIDE,
        "thumbnails": len(sheet.places),
        "missing": sheet.missing,
    }


def _quality(quality: Quality, shown: "Shown") -> dict[str, Any]:
    """With names and thumbnails in place of numbers."""

    def image(number: int) -> dict[str, Any]:
        name = shown.names[number]
        return {"name": name, "label": shown.rows.labels[number], "place": shown.thumbnails.places.get(name)}

    def share(of: Accuracy | None) -> float:
        return 2.0 if of is None else of.share

    return {
        "of": quality,
        "worst_first": sorted(quality.labels, key=lambda one: (share(one.across), share(one.naive), one.label))[:LABELS_MOST],
        "confused": [(pair, *map(image, pair.example)) for pair in quality.confused],
        "odd": [(odd, image(odd.image), _times(odd)) for odd in quality.odd],
    }


def _times(odd: Odd) -> str:
    """Infinite where the image is the other's centre, or with one label, where what is usual is no distance at all."""
    if np.isfinite(odd.times):
        return f"{odd.times:.2f}"
    return "the usual is 0" if odd.other is None else "equal to the other"
