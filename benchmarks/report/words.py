"""What a report says of the engines in three sentences, for the README."""

from collections.abc import Sequence

from benchmarks.projection import Engine, break_even
from benchmarks.report.figures import cells, largest, plane_points, starts
from benchmarks.report.results import Results


def three_sentences(results: Results, of: Sequence[Engine]) -> list[str]:
    """Of two engines. Speed, start and break-even, then what more workers and the results say."""
    study = results.first
    cell = {one.backend: one for one in largest(cells(study))}
    first, second = (cell[engine.name] for engine in of)
    begin = starts(study)
    at = break_even(*of)
    overtakes = (
        f"there is no number of images from which {second.backend.capitalize()} is done earlier"
        if at is None
        else f"{second.backend.capitalize()} is done earlier from {at:,.0f} images on"
    )
    rates = " and ".join(f"{one.rate.median:.0f} images/s on {one.backend.capitalize()}" for one in (first, second))
    whole = " and ".join(f"{one.whole.median:.1f} s on {one.backend.capitalize()}" for one in (first, second))
    start = " and ".join(f"{begin[one.backend].median:.1f} s" for one in (first, second))
    return [
        (
            f"With {first.workers} workers on {first.images:,} photos the features stage does {rates}; the whole job with the engine's own "
            f"PCA takes {whole}, of which the start is {start}, and {overtakes}."
        ),
        _scaling(results, of),
        _parity(results),
    ]


def _scaling(results: Results, of: Sequence[Engine]) -> str:
    if results.plane is None:
        return "How they scale past this machine's cores was not measured."
    told = []
    for plane in results.planes:
        image = plane["plan"]["image_seconds"]
        usable = [point for point in plane_points(plane) if point.usable]
        kept = []
        for engine in of:
            most = max((point for point in usable if point.backend == engine.name), key=lambda point: point.workers)
            share = most.rate.median * image / most.workers
            kept.append(f"{engine.name.capitalize()} keeps {share:.0%} of the ideal rate at {most.workers} workers")
        told.append(f"{'on a real YARN ' if plane['plan']['cluster'] == 'yarn' else ''}{' and '.join(kept)}")
    image = results.plane["plan"]["image_seconds"]
    return f"Past this machine's cores, with workers that sleep {1000 * image:.1f} ms an image, {'; '.join(told)}."


def _parity(results: Results) -> str:
    of = results.first["parity"]
    if of is None:
        return "Whether their results are the same was not measured."
    features = "the same features bit for bit" if of["features"] == 0 else f"features to {of['features']:.1g}"
    return (
        f"Both give {features}, the explained variance to {of['explained_variance']:.1g} and pca_features to {of['pca_features']:.1g}, "
        "so that the choice is about the start, the PCA, and what a team knows."
    )
