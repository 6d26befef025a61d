"""What a person reads at the end of a run, or before one with `--dry-run`."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from fruits.report import RunReport

if TYPE_CHECKING:
    import pyarrow as pa

    from fruits.identify import Answer
    from fruits.similar import Similar

_SHOWN = 10  # paths of each reason


def show(report: RunReport, console: Console) -> None:
    output = report.job["output"]
    console.print(Group(_facts(report), "", _stages(report), "", Text(f"results in {output}", "bold")), soft_wrap=True)
    if report.page:
        console.print(Text(f"the page: {output}/{report.page.name}"), soft_wrap=True)


def show_plan(plan: dict[str, Any], console: Console) -> None:
    table = _pairs()
    backend = plan["backend"]
    table.add_row("images", f"{plan['images']} ({_size(plan['bytes'])})")
    why = f" ({_counted(plan['why'])})" if plan["why"] else ""
    table.add_row("of these done", f"{plan['reused']} by an earlier run, {plan['to_featurize']} to featurize{why}")
    for count, what in ((plan["vanished"], "vanished"), (plan["why"].get("changed", 0), "changed")):
        if count:
            names = plan[f"{what}_names"]
            table.add_row(what, Text(f"{count}: {', '.join(names)}{', ...' if count > len(names) else ''}"))
    if plan["damaged_markers"]:
        table.add_row("damaged markers", f"{plan['damaged_markers']}: what they stood for is done again")
    table.add_row("PCA", Text(plan["pca"]))
    table.add_row("ignored", _counted(plan["ignored"]) or "none")
    table.add_row("chunks", f"{plan['chunks']}, of up to {plan['largest_chunk']} images")
    table.add_row("backend", f"{backend['name']}, {backend['workers']} workers, cluster {backend['cluster']}")
    table.add_row("model", f"{plan['job']['engine']} in {plan['job']['precision']}, {plan['batch_size']} images a batch")
    for key, value in backend["configuration"].items():
        table.add_row(key, Text(str(value)))
    table.add_row("output", Text(plan["job"]["output"]))
    console.print(table, soft_wrap=True)
    if plan["nothing_to_do"]:
        console.print("nothing to do: the results are complete")


def show_rejected(results: str, rows: "pa.Table", console: Console) -> None:
    """`rows`: of `schemas.REJECTED`, by reason."""
    reasons = rows["reason"].to_pylist()
    console.print(Text(f"{results}: {len(reasons)} images rejected"), soft_wrap=True)
    start = 0
    for reason, count in ((reason, len(list(same))) for reason, same in groupby(reasons)):
        console.print(Text(f"\n{reason}: {count}", "bold"), soft_wrap=True)
        for row in rows.slice(start, min(count, _SHOWN)).to_pylist():
            console.print(Text(f"  {printable(row['path'])}  ({printable(row['detail'])})"), soft_wrap=True)
        if count > _SHOWN:
            console.print(Text(f"  and {count - _SHOWN} more: --paths or --json has all"))
        start += count
    if reasons:
        console.print("\nto try them again: the same command as before, with --retry-rejected", soft_wrap=True)


def show_similar(found: "Similar", console: Console) -> None:
    console.print(Text(f"{printable(found.image)}: the nearest of {found.compared:,} images in {found.results}"), soft_wrap=True)
    if found.itself:
        said = f"it is one of them, labelled {printable(found.itself.label)}, {found.itself.distance:.4f} from its own row, and left out"
        console.print(Text(said), soft_wrap=True)
    _aligned(console, ("distance", "label", "path"), [(f"{one.distance:.4f}", one.label, one.path) for one in found.neighbours])


def show_identified(answer: "Answer", console: Console) -> None:
    rows = []
    for photo in answer.photos:
        if photo.confidence is None:
            rows.append((f"({photo.reason})", "", f"{photo.path}  {photo.detail}"))
        else:
            label = photo.label if photo.label == photo.nearest else f"{photo.label} (nearest: {photo.nearest})"
            rows.append((str(label), f"{photo.confidence:.2f}", photo.path))
    _aligned(console, ("label", "confidence", "photo"), rows)
    held_out = answer.held_out
    named, right = held_out.named(answer.threshold)
    of = f"{right:.1%} of these rightly" if right is not None else "none"
    how = "each with its whole series" if held_out.by_series else "one by one, which images that are nearly the same flatter"
    said = (
        f"Of {len(held_out.right):,} images of these labels, held out {how}, {held_out.accuracy:.1%} are nearest to their own label; "
        f"{named:.1%} reach a confidence of {answer.threshold:g}, {of}."
    )
    console.print(Text(said, "dim"))


def _aligned(console: Console, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns of text as wide as they are: a table of rich would cut or break the paths, which are copied from here."""
    shown = [[printable(text) for text in row] for row in rows]
    widths = [max(cell_len(text) for text in column) for column in zip(titles, *shown, strict=True)]
    for number, row in enumerate([titles, *shown]):
        line = "  ".join(set_cell_size(text, width) for text, width in zip(row, widths, strict=True))
        console.print(Text(line.rstrip(), "" if number else "dim"), soft_wrap=True)


def printable(name: str) -> str:
    """Without what a terminal would obey: names may hold anything."""
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in name)


def _facts(report: RunReport) -> RenderableType:
    table = _pairs()
    images = report.images
    table.add_row("images", f"{images.found} found, {images.featurized} featurized, {images.rejected} rejected, {images.reused} reused")
    if images.reused or images.vanished:
        done = _counted({**images.to_do, **({"vanished": images.vanished} if images.vanished else {})})
        table.add_row("since then", done or Text("nothing new"))
    if report.rejected_by_reason:
        table.add_row("rejected", _counted(report.rejected_by_reason))
    if report.images.ignored:
        table.add_row("ignored", _counted(report.images.ignored))
    by_count = sorted(report.labels.items(), key=lambda item: (-item[1], item[0]))
    if by_count:
        largest, smallest = by_count[0], by_count[-1]
        table.add_row("labels", Text(f"{len(by_count)}: from {largest[1]} ({largest[0]}) to {smallest[1]} ({smallest[0]})"))
    if report.explained_variance:
        share = report.explained_variance[-1]
        table.add_row("components", f"{len(report.explained_variance)}, which explain {share:.4%} of the variance")
    if report.captured:
        table.add_row("projection", Text(str(report.captured), "bold" if report.captured.refit_advised else ""))
    table.add_row("backend", f"{report.backend['name']}, {report.backend['workers']} workers, cluster {report.backend['cluster']}")
    return table


def _stages(report: RunReport) -> RenderableType:
    table = Table("stage", box=None, pad_edge=False, header_style="dim")
    for title in ("seconds", "images", "images/s"):
        table.add_column(title, justify="right")
    for stage in report.stages:
        rate = f"{stage.rate:.0f}" if stage.rate else ""
        table.add_row(stage.name, f"{stage.seconds:.1f}", str(stage.images or ""), rate)
    table.add_row("all", f"{sum(stage.seconds for stage in report.stages):.1f}", "", "")
    return table


def _pairs() -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _counted(counts: dict[str, int]) -> Text:
    return Text(", ".join(f"{count} {name}" for name, count in counts.items()))


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.4g} {unit}"
        count /= 1000
    return f"{count:.4g} TB"
