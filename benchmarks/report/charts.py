"""Charts as SVG that stands inside a page: drawn by matplotlib, coloured by the page's own style, so that light, dark and print fit."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, LogLocator, MaxNLocator, NullFormatter

from fruits.report import STAGES

mpl.use("svg")
# Stand-ins, each replaced by a variable of the page's style.
INK, MUTED, GRID, PAPER = "#010101", "#010102", "#010103", "#010104"
COLOURS = {"dask": "#0101a1", "spark": "#0101a2"}
PARTS = {name: f"#0101b{number}" for number, name in enumerate(STAGES)}
# Of the features stage.
PARTS |= {"computing": PARTS["featurize"], "reading and decoding": PARTS["list"], "distributing and writing": PARTS["export"]}
MODELLED = {"dask": "#0101c1", "spark": "#0101c2"}
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--grid",
    PAPER: "--paper",
    **{colour: f"--{name}" for name, colour in COLOURS.items()},
    **{PARTS[name]: f"--stage-{name}" for name in STAGES},
    **{colour: f"--modelled-{name}" for name, colour in MODELLED.items()},
}
TICKS = 8  # of a logarithmic axis, where each measured place has its own
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: it is read aloud, found and scaled
    "svg.hashsalt": "fruits",  # the same figures give the same file
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.grid": True,
    "grid.color": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "axes.axisbelow": True,
}


def colour(name: str) -> str:
    return COLOURS.get(name, INK)


def drawn(title: str, draw: Callable[[Axes], None], height: float = 3.4) -> str:
    """The SVG of a chart, with a title for those who do not see it."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7.2, height), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.subplots()
        axes.patch.set_alpha(0)
        draw(axes)
        with io.StringIO() as file:
            figure.savefig(file, format="svg", metadata={"Date": None})
            svg = file.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    for stand_in, variable in VARIABLES.items():
        svg = svg.replace(stand_in, f"var({variable})")
    identity = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    # Names within a figure are of this one alone, for several stand in a page.
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{identity}-", svg)
    return re.sub(r"<svg [^>]*?viewBox=(\"[^\"]*\")[^>]*>", rf'<svg viewBox=\1 role="img" aria-label="{title}">', svg, count=1)


def lines(
    title: str,
    x: str,
    y: str,
    of: Mapping[str, Sequence[tuple[float, float, float, float]]],
    *,
    log: bool = False,
    dashed: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    ideal: Sequence[tuple[float, float]] = (),
    dots: Mapping[str, Sequence[tuple[float, float]]] | None = None,
) -> str:
    """Measured points (x, median, least, most) by backend. `dashed`: what a model says, in another colour; `ideal`: to compare with;
    `dots`: every single measurement."""

    def draw(axes: Axes) -> None:
        if ideal:
            axes.plot(*zip(*ideal, strict=True), color=MUTED, linewidth=1, linestyle=":", label="ideal")
        for name, points in of.items():
            if not points:
                continue
            at, median, least, most = map(list, zip(*points, strict=True))
            off = [[m - a for m, a in zip(median, least, strict=True)], [b - m for m, b in zip(median, most, strict=True)]]
            axes.errorbar(
                at, median, yerr=off, color=colour(name), marker="o", markersize=5, linewidth=2, capsize=3, label=f"{name}, measured"
            )
        for name, each in (dots or {}).items():
            places, values = zip(*each, strict=True)
            axes.scatter(places, values, s=9, color=colour(name), alpha=0.5, linewidths=0, zorder=3)
        for name, model in (dashed or {}).items():
            shape = "s" if name.startswith("spark") else "^"
            axes.plot(
                *zip(*model, strict=True),
                color=MODELLED.get(name, MUTED),
                linestyle="--",
                marker=shape,
                markersize=3,
                label=f"{name}, modelled",
            )
        if log:
            axes.set_xscale("log")
            axes.set_yscale("log")
            measured = {point[0] for points in (*of.values(), *(dashed or {}).values()) for point in points}
            axes.xaxis.set_major_locator(FixedLocator(sorted(measured)) if len(measured) <= TICKS else LogLocator())
            low, high = axes.get_ylim()
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high > 100 * low else (1.0, 2.0, 5.0)))
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_formatter(EngFormatter(sep=""))
                axis.set_minor_formatter(NullFormatter())
        else:
            axes.set_ylim(bottom=0)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        axes.legend()

    return drawn(title, draw)


def bars(title: str, x: str, of: Mapping[str, Mapping[str, float]]) -> str:
    """Stages, or parts of one, of each backend, one after another."""

    def draw(axes: Axes) -> None:
        most = max(sum(parts.values()) for parts in of.values())
        for row, parts in enumerate(of.values()):
            left = 0.0
            for name, width in parts.items():
                axes.barh(row, width, left=left, color=PARTS[name], label=name if row == 0 else None, edgecolor=PAPER, linewidth=1)
                if width > 0.06 * most:
                    axes.text(left + width / 2, row, f"{width:.1f}", ha="center", va="center", color=PAPER)
                left += width
        axes.set_yticks(range(len(of)), list(of))
        axes.invert_yaxis()
        axes.set_xlabel(x)
        axes.grid(visible=False, axis="y")
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.32), ncols=7)

    return drawn(title, draw, height=1.1 + 0.65 * len(of))
