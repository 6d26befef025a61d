"""The page: sections of text, charts and tables, from results and a question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from benchmarks import published
from benchmarks import table as ratios
from benchmarks.costs import Cluster
from benchmarks.projection import Assumptions, Decision, Engine, Projected, break_even, decide, engines, projected
from benchmarks.published import sanity
from benchmarks.report import charts
from benchmarks.report.figures import (
    FITTED_UP_TO,
    LEAST_IDLE,
    STAGES,
    Cell,
    PlaneModel,
    cells,
    failures,
    largest,
    parts,
    plane_models,
    plane_points,
    speed_ups,
    starts,
    task_seconds,
    time_models,
)
from benchmarks.report.question import Question, in_words
from benchmarks.report.results import Results
from benchmarks.scaling import Estimate, NotEnough, Spread, peak

VOLUMES = (22_688, 1_000_000, 10_000_000, 100_000_000)
NODES = (1, 3, 10, 30, 100, 300, 1000)
DEADLINES = {"no deadline": None, "1 day": 86_400.0, "1 hour": 3600.0}
BREAK_EVEN = (100, 300, 1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
MB = 1e6


@dataclass(frozen=True)
class Table:
    """`words`: so many of its first columns are text. `open`: shown, and not behind a line to click."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
    open: bool = False


@dataclass(frozen=True)
class Chart:
    svg: str
    caption: str


@dataclass(frozen=True)
class Section:
    name: str
    title: str
    texts: list[str]
    charts: list[Chart] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)


def page(results: Results, question: Question) -> str:
    """A self-contained page of HTML: it loads nothing."""
    study = results.first
    found = cells(study)
    fitted = [(plane, plane_models(plane), task_seconds(plane)) for plane in results.planes]
    _, sleeping, tasks = fitted[0] if fitted else (None, [], {})
    assume = Assumptions(core=question.core, serial={model.backend: max(model.serial.value, 0.0) for model in sleeping}, tasks=tasks)
    try:
        of = engines(study)
    except NotEnough as few:
        of, said = [], [f"No decision: {few}. Measure more sizes or repeats."]
    else:
        asked = question
        said = sentences(
            decide(of, asked.volume, asked.prices, asked.region, assume, asked.deadline, asked.budget, asked.spot), of, question
        )
    sections = [
        _method(results),
        _throughput(study, found),
        _stages(study, found),
        _models(study, of),
        _scaling(study),
        *(_plane(*one) for one in fitted),
        *([_cluster(of, question, assume), _costs(of, question, assume)] if of else []),
        _others(results),
        _world(results),
        _parity(study),
        _limits(study),
        _raw(results),
    ]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("benchmarks.report").joinpath("template.html.j2").read_text())
    return template.render(machine=_machine(study), decision=said, sections=[s for s in sections if s], sources=[*results.studies])


def _machine(study: Mapping[str, Any]) -> str:
    of = study["machine"]
    where = "a YARN cluster, driven from " if study["plan"].get("cluster") == "yarn" else ""
    return f"{where}{of['processor']}, {of['cores']} cores, {of['memory_bytes'] / 2**30:.0f} GB; {of['date']}; {study['plan']['images']}"


def sentences(decision: Decision, of: Sequence[Engine], question: Question) -> list[str]:
    """The decision in words, first what to do."""
    asked = f"{question.volume:,} images"
    if question.deadline:
        asked += f" within {in_words(question.deadline)}"
    if question.budget is not None:
        asked += f" for ${question.budget:,.2f} at most"
    said = []
    if decision.best is None:
        fast = decision.fastest
        said.append(
            f"For {asked} there is no answer here: the fastest that was considered is {fast.engine} on {fast.cluster}, "
            f"{in_words(fast.whole)} and {fast.cost}."
        )
        if not fast.driver_fits:
            said.append(
                f"The listing of so many would take {fast.driver_bytes / 1e9:.0f} GB of the driver's memory, more than half of what its "
                "machine has: give each run a part of the folders."
            )
    else:
        best = decision.best
        said.append(
            f"For {asked}: {best.engine} on {best.cluster} in {question.region}, done after {in_words(best.whole)} "
            f"({in_words(best.start_seconds + best.least)} to {in_words(best.start_seconds + best.most)} by what was "
            f"measured), for {best.cost}; "
            f"what limits it is {best.saturated}."
        )
        said += _others_on_the_same(decision, best)
        if not best.cluster.emr:
            said.append("No cluster is needed for this: one machine is cheaper than any, and the same command runs there.")
    if len(of) == 2:
        at = break_even(*of)
        first, second = sorted(of, key=lambda engine: engine.start[0])
        if at is None:
            said.append(
                f"{first.name.capitalize()} is ahead of {second.name} at any number of images: it starts earlier, "
                "and an image costs it no more."
            )
        else:
            said.append(
                f"{second.name.capitalize()} starts later than {first.name} and makes that good from {at:,.0f} images on, "
                "on the machine that measured."
            )
    return said


def _others_on_the_same(decision: Decision, best: Projected) -> list[str]:
    """A sentence of each other engine on the same machines."""
    same = [one for one in decision.considered if one.cluster == best.cluster and one.engine != best.engine]
    return [_compared(other, best) for other in same]


def _compared(other: Projected, best: Projected) -> str:
    apart = (other.whole - best.whole) / best.whole
    overlap = other.least <= best.most and best.least <= other.most
    sure = (
        "the ranges of both overlap, so that this machine's noise could turn it round" if overlap else "the ranges of both do not overlap"
    )
    return f"{other.engine.capitalize()} on the same would take {in_words(other.whole)} ({apart:+.1%}) for {other.cost}: {sure}."


def _method(results: Results) -> Section:
    study = results.first
    plan, seconds = study["plan"], sum(run.get("seconds", 0) for run in study["runs"])
    texts = [
        (
            f"Both backends ran the same command's work in the same core: {plan['images']}, at {_list(plan['sizes'])} images with "
            f"{max(plan['workers'])} single-threaded workers, and at the largest with {_list(plan['workers'])}, --pca {plan['pca']}, "
            f"{plan['components']} components. Every job was run "
            f"{plan['repeats']} times, in random order (seed {plan['seed']}), {len(study['runs'])} runs in {in_words(seconds)}."
        ),
        (
            f"All sessions were open from the beginning and each had run {plan['warm_up']} images once before, which is "
            "not counted. What a start takes was measured apart, as whole processes from start to end less the stages of their work, "
            "and is added to each run."
        ),
        (
            "Large points are medians, small ones all that was measured, bars and ranges go from the least to the most. From six repeats "
            "on the tables have 95 % intervals of medians, by order statistics."
        ),
    ]
    texts += [f"Marked: {mark}." for mark in results.marks]
    packages = study["machine"]["packages"]
    return Section("method", "Method", texts, tables=[Table("Versions", ("package", "version"), [*packages.items()], 2)])


def _list(values: Sequence[Any]) -> str:
    return ", ".join(f"{value:,}" for value in values)


def _spread(of: Spread, digits: str = ".2f") -> list[str]:
    interval = f"{of.interval[0]:{digits}} to {of.interval[1]:{digits}}" if of.interval else "needs 6 repeats"
    return [f"{of.median:{digits}}", f"{of.low:{digits}} to {of.high:{digits}}", interval]


def _throughput(study: Mapping[str, Any], found: Sequence[Cell]) -> Section:
    most = max(cell.workers for cell in found)
    points: dict[str, list[tuple[float, float, float, float]]] = {}
    whole: dict[str, list[tuple[float, float, float, float]]] = {}
    for cell in found:
        if cell.workers == most:
            points.setdefault(cell.backend, []).append((cell.images, cell.rate.median, cell.rate.low, cell.rate.high))
            n, seconds = cell.images, cell.whole
            whole.setdefault(cell.backend, []).append((n, n / seconds.median, n / seconds.high, n / seconds.low))
    rates: dict[str, list[tuple[float, float]]] = {}
    for run in study["runs"]:
        if run["workers"] == most and "failed" not in run:
            rates.setdefault(run["backend"], []).append((run["asked"], run["images"] / run["stages"]["featurize"]))
    rows = [
        [cell.backend, str(cell.workers), f"{cell.images:,}", *_spread(cell.rate, ".1f"), *_spread(cell.whole, ".1f"), str(cell.failed)]
        for cell in found
    ]
    columns = ("backend", "workers", "images", "images/s", "range", "95 %", "whole job, s", "range", "95 %", "failed")
    return Section(
        "throughput",
        "Throughput",
        [
            (
                "The features stage reads, decodes, infers and writes. The whole job has the start and all other stages too: "
                "what it loses to the start shrinks with the images."
            )
        ],
        [
            Chart(charts.lines("Features stage by images", "images", "images/s", points, dots=rates), f"Features stage, {most} workers."),
            Chart(
                charts.lines("Whole job by images", "images", "images/s", whole),
                f"Whole job from the start of the process, {most} workers.",
            ),
        ],
        [Table("Figures of both", columns, rows)],
    )


def _stages(study: Mapping[str, Any], found: Sequence[Cell]) -> Section:
    begin = starts(study)
    stages = {
        cell.backend: {"start": begin[cell.backend].median, **{name: cell.stages[name].median for name in STAGES if name in cell.stages}}
        for cell in largest(found)
    }
    one = largest(found)[0]
    rows = [
        [cell.backend, name, *_spread(of)] for cell in largest(found) for name, of in {"start": begin[cell.backend], **cell.stages}.items()
    ]
    memory = [
        [
            cell.backend,
            str(cell.workers),
            f"{cell.images:,}",
            *(f"{cell.memory.get(kind, 0) / MB:,.0f}" for kind in ("driver", "JVM", "worker")),
        ]
        for cell in found
    ]
    by_stage = Chart(charts.bars("Seconds by stage", "seconds", stages), f"{one.images:,} images, {one.workers} workers, medians.")
    apart = {
        of.backend: {"computing": of.computing, "reading and decoding": of.reading, "distributing and writing": of.writing}
        for of in parts(study)
    }
    return Section(
        "stages",
        "Stages",
        [],
        [by_stage, *([_parts(apart)] if apart else [])],
        [
            Table("Figures", ("backend", "stage", "median, s", "range", "95 %"), rows, 2),
            *([_isolated(study, apart)] if apart else []),
            Table(
                "Peak memory of the largest process of a kind",
                ("backend", "workers", "images", "driver, MB", "JVM, MB", "Python worker, MB"),
                memory,
            ),
        ],
    )


def _estimate(of: Estimate, times: float, digits: int) -> str:
    return f"{times * of.value:.{digits}f} ({times * of.low:.{digits}f} to {times * of.high:.{digits}f})"


def _parts(apart: Mapping[str, Mapping[str, float]]) -> Chart:
    return Chart(
        charts.bars("Seconds of the features stage by part", "seconds", apart),
        "The features stage of the same job, again with an engine that reads and decodes every image and computes nothing, and with one "
        "that opens no image; the differences of the medians.",
    )


def _isolated(study: Mapping[str, Any], apart: Mapping[str, Mapping[str, float]]) -> Table:
    rows = [[backend, part, f"{seconds:.3g}", ""] for backend, of in apart.items() for part, seconds in of.items()]
    measured = [
        [one["backend"], f"with {one['engine']}", f"{one['seconds']:.3g}", str(one["repeat"])]
        for one in study["isolated"]
        if "failed" not in one
    ]
    return Table(
        "The features stage by part", ("backend", "part, or what was measured", "seconds", "repeat"), [*rows, *sorted(measured)], 2
    )


def _models(study: Mapping[str, Any], of: Sequence[Engine]) -> Section:
    models = time_models(study)
    if not models:
        return Section("model", "Fixed and marginal cost", ["Three sizes are needed for the model and its check; this study has fewer."])
    texts = [
        (
            "T(N) = fixed + N x marginal, fitted to all runs at most workers by least squares of relative deviations. The "
            "check: fitted without the largest size, the model has to predict it within 10 %."
        )
    ]
    if len(of) == 2 and (at := break_even(*of)):
        texts.append(f"The lines cross at {at:,.0f} images: below, {of[0].name} is done earlier, above, {of[1].name}.")
    elif len(of) == 2:
        texts.append("The lines do not cross: one of the two is done earlier at any number of images.")
    rows = [
        [
            model.backend,
            _estimate(model.fit["fixed"], 1, 2),
            _estimate(model.fit["image"], 1000, 3),
            f"{model.images:,}",
            f"{model.predicted:.1f}",
            f"{model.measured:.1f}",
            f"{model.off:+.1%}",
            "yes" if model.holds else "NO",
        ]
        for model in models
    ]
    columns = ("backend", "fixed, s", "an image, ms", "images", "predicted, s", "measured, s", "off by", "within 10 %")
    measured: dict[str, list[tuple[float, float, float, float]]] = {}
    for cell in cells(study):
        if cell.workers == models[0].workers:
            measured.setdefault(cell.backend, []).append((cell.images, cell.whole.median, cell.whole.low, cell.whole.high))
    modelled = {model.backend: [(n, float(model.fit(n))) for n in BREAK_EVEN] for model in models}
    chart = charts.lines("Break-even", "images", "seconds with the start", measured, log=True, dashed=modelled)
    return Section(
        "model",
        "Fixed and marginal cost, and break-even",
        texts,
        [Chart(chart, f"The whole job with {models[0].workers} workers of this machine, measured and modelled, on logarithmic axes.")],
        [Table("Model", columns, rows, open=True)],
    )


def _scaling(study: Mapping[str, Any]) -> Section | None:
    ups = speed_ups(study)
    if not any(up.workers > 1 for up in ups):
        return None
    points: dict[str, list[tuple[float, float, float, float]]] = {}
    for up in ups:
        points.setdefault(up.backend, []).append((up.workers, up.strong, up.strong, up.strong))
    rows = [
        [up.backend, str(up.workers), f"{up.strong:.2f}", f"{up.efficiency:.0%}", f"{up.weak:.2f}" if up.weak else "not measured"]
        for up in ups
    ]
    ideal = [(up.workers, float(up.workers)) for up in ups if up.backend == ups[0].backend]
    most = max(up.workers for up in ups)
    return Section(
        "scaling",
        "More workers on real cores",
        [
            (
                f"The features stage against one worker, up to the {most} that were measured, as points without a fit: so few say "
                "nothing of more. Strong scaling: the same images for any number of workers, the largest size. Weak scaling: as many "
                "images for each worker."
            )
        ],
        [
            Chart(
                charts.lines("Speed-up by workers", "workers", "times as fast as one", points, ideal=ideal),
                "Strong scaling, medians of rates.",
            )
        ],
        [Table("Figures of scaling", ("backend", "workers", "strong", "of ideal", "weak"), rows)],
    )


def _plane(plane: Mapping[str, Any], models: Sequence[PlaneModel], tasks: Mapping[str, float]) -> Section:
    """Workers that sleep."""
    points = plane_points(plane)
    image = plane["plan"]["image_seconds"]
    yarn = plane["plan"]["cluster"] == "yarn"
    on_yarn = " on YARN" if yarn else ""
    where = " in containers of a real YARN, with images and results on the cluster's storage" if yarn else ""
    texts = [
        (
            f"With --core sleep a worker opens no image and waits {1000 * image:.2f} ms for each, which is what one takes on a core "
            "of this machine. All else is real: planning, distributing, serialising, Parquet, commits. A worker that waits needs no core, "
            f"so that {max(point.workers for point in points)} ran on {plane['machine']['cores']} cores{where}, each with "
            f"{' and '.join(map(str, plane['plan']['chunks_a_worker']))} chunks of {plane['plan']['chunk_size']:,} images, of which "
            f"the difference is taken. Points where this machine had less than {LEAST_IDLE:.0%} of its "
            "processor idle say more of the machine than of the engine: they are marked and in no fit."
        )
    ]
    if models:
        texts.append(
            "What sleepers do when they do not sleep they do on the cores of this machine, which they share: the losses below are more "
            "than those of a cluster, where each worker has a core, and the projections that use them are cautious."
        )
    for model in models:
        whole = model.law is model.fit
        most = peak(model.fit) if whole else None
        texts.append(
            f"{model.backend.capitalize()}: the universal scalability law, fitted to at most {FITTED_UP_TO} workers, has a contention of "
            f"{_estimate(model.fit['contention'], 100, 2)} % and a coherency of {_estimate(model.fit['coherency'], 1e6, 1)} in a million"
            + ("" if whole else ", which cannot be told from none and is left out, so that Amdahl's law is left")
            + f". It predicts {model.predicted:,.0f} images/s of {model.workers} workers; {model.measured:,.0f} were measured "
            f"({model.off:+.1%}): the model {'holds' if model.holds else 'DOES NOT HOLD'} within 10 %. "
            + (f"Its peak is at {most:,.0f} workers." if most else "It has no peak.")
            + f" The serial share of all points: {_estimate(model.serial, 100, 2)} %."
        )
    unfitted = {*plane["plan"]["backends"]} - {model.backend for model in models}
    if unfitted:
        texts.append(
            f"Without a fit and its check, which need points with an idle machine up to {FITTED_UP_TO} workers and beyond: "
            f"{', '.join(sorted(unfitted))}."
        )
    measured: dict[str, list[tuple[float, float, float, float]]] = {}
    for point in points:
        if point.usable:
            measured.setdefault(point.backend, []).append((point.workers, point.rate.median, point.rate.low, point.rate.high))
    usable = {(point.backend, point.workers) for point in points if point.usable}
    singles: dict[str, list[tuple[float, float]]] = {}
    for one in plane["points"]:
        if "failed" not in one and (one["backend"], one["workers"]) in usable:
            singles.setdefault(one["backend"], []).append((one["workers"], one["rate"]))
    lines = {model.backend: [(w, float(model.law(w))) for w in sorted({p.workers for p in points})] for model in models}
    ideal = [(w, w / image) for w in sorted({point.workers for point in points})]
    chart = charts.lines(
        f"Engine plane{on_yarn}", "workers that sleep", "images/s", measured, log=True, dashed=lines, ideal=ideal, dots=singles
    )
    rows = [
        [
            point.backend,
            str(point.workers),
            *_spread(point.rate, ".1f"),
            f"{point.rate.median * image / point.workers:.1%}",
            f"{point.idle:.0%}",
            "" if point.usable else "MARKED: left out",
        ]
        for point in points
    ]
    failed = [[one["backend"], str(one["workers"]), one["failed"]] for one in plane["points"] if "failed" in one]
    return Section(
        "plane-on-yarn" if yarn else "plane",
        f"The engines far past this machine's cores{on_yarn}",
        texts,
        [Chart(chart, "Rates by the number of sleeping workers, measured and modelled, on logarithmic axes.")],
        [
            Table(
                f"Figures of the engine plane{on_yarn}", ("backend", "workers", "images/s", "range", "95 %", "of ideal", "idle", ""), rows
            ),
            Table(
                f"A task that does nothing{on_yarn}, where most of them are done at a time",
                ("backend", "ms"),
                [[name, f"{1000 * seconds:.2f}"] for name, seconds in tasks.items()],
            ),
            *([Table(f"Failures of the engine plane{on_yarn}: {len(failed)}", ("backend", "workers", "why"), failed, 3)] if failed else []),
        ],
    )


def _world(results: Results) -> Section | None:
    """The model against what others reported."""
    found = sanity(results.speed)
    if found is None:
        return None
    return Section(
        "world",
        "A check against the world",
        [
            (
                f"Of the notebook's way a run is reported that took {in_words(published.SECONDS)} for the features of {published.IMAGES:,} "
                f"images on 1 + {published.NODES} m5.xlarge. Here a worker of it does {found.rate:.1f} images/s; with a vCPU taken for "
                f"{found.vcpu:g} of a core of this machine (a hyperthread, one of two of a core), {published.NODES * published.VCPUS} of "
                f"them would take {in_words(found.modelled)}: modelled. The report is {found.times:.1f} times that."
            ),
            (
                f"Were the processor all that differs, a vCPU would be {found.implied:.2f} of a core here: that is what to give as "
                "--core-ratio for a cautious answer. But more differs: Spark on EMR gives an executor on one of the nodes less room for "
                "the sake of its master, each of TensorFlow's processes there takes all cores of its node for itself, and images came "
                "from S3. The model has none of these."
            ),
        ],
        tables=[
            Table(
                "The published run",
                ("", "seconds"),
                [["reported", f"{published.SECONDS:,.0f}"], ["modelled from this machine", f"{found.modelled:,.0f}"]],
                open=True,
            )
        ],
    )


def _cluster(of: Sequence[Engine], question: Question, assume: Assumptions) -> Section:
    instance = "m5.xlarge"
    modelled: dict[str, list[tuple[float, float]]] = {}
    rows = []
    for engine in of:
        for nodes in NODES:
            one = projected(engine, Cluster(instance, nodes, spot=question.spot), question.volume, question.prices, question.region, assume)
            modelled.setdefault(engine.name, []).append((nodes, one.whole))
            rows.append(
                [
                    engine.name,
                    f"{nodes:,}",
                    in_words(one.whole),
                    f"{in_words(one.start_seconds + one.least)} to {in_words(one.start_seconds + one.most)}",
                    str(one.cost),
                    one.saturated,
                    f"{one.driver_bytes / 1e9:.1f}",
                ]
            )
    columns = ("engine", "nodes", "time", "by what was measured", "cost", "saturates first", "driver, GB")
    return Section(
        "cluster",
        f"{question.volume:,} images on an EMR cluster of {instance}",
        ["Modelled, not measured. It assumes that " + "; that ".join(assume) + "."],
        [
            Chart(
                charts.lines("Time by nodes", "nodes", "seconds with the cluster's start", {}, log=True, dashed=modelled),
                "Modelled, on logarithmic axes.",
            )
        ],
        [Table("Figures", columns, rows)],
    )


def _costs(of: Sequence[Engine], question: Question, assume: Assumptions) -> Section:
    rows, curves = [], {}
    for volume in VOLUMES:
        for name, deadline in DEADLINES.items():
            best = decide(of, volume, question.prices, question.region, assume, deadline, spot=question.spot).best
            rows.append(
                [
                    f"{volume:,}",
                    name,
                    *((best.engine, str(best.cluster), in_words(best.whole), str(best.cost)) if best else ("none", "-", "-", "-")),
                ]
            )
    for engine in of:
        curves[engine.name] = [
            (
                volume,
                projected(engine, Cluster("m5.xlarge", 2, spot=question.spot), volume, question.prices, question.region, assume).cost.total,
            )
            for volume in VOLUMES
        ]
    one = projected(of[0], Cluster("m5.xlarge", 2, spot=question.spot), question.volume, question.prices, question.region, assume)
    parts = [[what, f"{usd:.4f}"] for what, usd in one.cost.parts.items()]
    texts = [
        (
            f"Prices of {question.region}, by {question.prices.source.name}; what has no price there is left out, and the "
            "total then reads “at least”."
        )
    ]
    texts += [f"Assumed: {what}." for what in one.cost.assumed]
    texts += [f"Unknown, and in no sum: {what}." for what in one.cost.unknown]
    prices = [
        [
            price.region,
            price.item,
            price.unit,
            f"{price.usd:g}",
            f"{price.spot[0]:g} to {price.spot[1]:g}" if price.spot else "",
            price.kind,
            price.source,
        ]
        for price in question.prices
    ]
    return Section(
        "cost",
        "Cost",
        texts,
        [
            Chart(
                charts.lines("Cost by images", "images", "dollars", {}, log=True, dashed=curves),
                "1 + 2 m5.xlarge, modelled, on logarithmic axes.",
            )
        ],
        [
            Table("The cheapest by volume and deadline", ("images", "deadline", "engine", "on", "time", "cost"), rows, 4, open=True),
            Table(f"Parts of {question.volume:,} images with {of[0].name} on {one.cluster}", ("part", "dollars"), parts),
            Table("Prices", ("region", "item", "unit", "dollars", "Spot", "how it is known", "source"), prices, 7),
        ],
    )


def _others(results: Results) -> Section | None:
    if results.speed is None:
        return None
    of = next(iter(results.speed["cases"].values()))["machine"]
    return Section(
        "others",
        "Against other ways to the same features",
        [f"By python -m benchmarks speed on {of['processor']}, {of['date']}: ratios of one run each, medians."],
        tables=[Table("Ratios", ratios.COLUMNS, ratios.rows(results.speed))],
    )


def _parity(study: Mapping[str, Any]) -> Section:
    of = study["parity"]
    if of is None:
        return Section("parity", "Parity", ["There were no results of two backends at the largest size to compare."])
    rows = [
        ["features", f"{of['features']:.3g}"],
        ["explained variance", f"{of['explained_variance']:.3g}"],
        ["pca_features", f"{of['pca_features']:.3g}"],
        ["the same images featurized", "yes" if of["same_images"] else "NO"],
        ["the same images rejected, for the same reasons", "yes" if of["same_rejects"] else "NO"],
    ]
    return Section(
        "parity",
        "Parity",
        [
            (
                f"The results of {' and '.join(of['backends'])} on the {of['images']:,} images of the largest size: the "
                "largest difference of any number."
            )
        ],
        tables=[Table("Parity", ("what", "difference"), rows, open=True)],
    )


def _limits(study: Mapping[str, Any]) -> Section:
    return Section(
        "limits",
        "What this report does not show",
        [
            (
                f"One machine with {study['machine']['cores']} cores measured it, from its own disk: no network, no S3 and no "
                "second node is in any measured figure."
                if study["plan"].get("cluster") != "yarn"
                else "A YARN cluster measured it, of which this page knows nothing but what its driver saw."
            ),
            (
                "What is said of clusters is a model: it knows no stragglers, no lost nodes, no Spot reclaims, and takes a "
                "vCPU's speed as given."
            ),
            "Prices are those of a table with a date; AWS's own are what is billed.",
            "Images of another size cost another decoding: the sample's are 100x100.",
        ],
    )


def _raw(results: Results) -> Section:
    tables = []
    for name, study in results.studies.items():
        stages = [stage for stage in STAGES if any(stage in run.get("stages", ()) for run in study["runs"])]
        rows = [
            [
                run["backend"],
                str(run["workers"]),
                f"{run['asked']:,}",
                str(run["repeat"]),
                *(f"{run['stages'].get(stage, 0):.3f}" for stage in stages),
            ]
            for run in study["runs"]
            if "failed" not in run
        ]
        tables.append(Table(f"All runs of {name}", ("backend", "workers", "images", "repeat", *(f"{stage}, s" for stage in stages)), rows))
        failed = [[run["backend"], str(run["workers"]), f"{run['asked']:,}", run["failed"]] for run in failures(study)]
        tables.append(Table(f"Failures of {name}: {len(failed)}", ("backend", "workers", "images", "why"), failed, 4))
    return Section("raw", "All that was measured", [], tables=tables)
