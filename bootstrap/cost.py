"""What a cluster costs, by the hour, and what a job on it does, by the benchmarks' model and the one table of prices. Dollars."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.costs import Cluster, Cost
from benchmarks.prices import Asked, Prices
from bootstrap.settings import Settings

_DATE = re.compile(r"\d{4}-\d\d-\d\d")
MEASURED = Path(__file__).parents[1] / "benchmarks" / "results"
# Paid for, and without a price in the table.
DISKS, ADDRESSES, ENDPOINTS = "EBS volumes of the nodes", "public IPv4 addresses", "interface endpoints, by the hour until `destroy`"
UNPRICED = (DISKS, ADDRESSES, ENDPOINTS)


@dataclass(frozen=True)
class Group:
    """Nodes of a kind."""

    role: str
    type: str
    count: int
    spot: bool = False


def groups(settings: Settings) -> list[Group]:
    """What the cluster starts with."""
    task = Group("task", settings.task.type, settings.task.count, settings.task.spot)
    return [Group("primary", settings.primary.type, 1), Group("core", settings.core.type, settings.core.count), task][
        : 3 if task.count else 2
    ]


def largest(settings: Settings) -> list[Group]:
    """To what it is scaled at most: core nodes stay as many."""
    most = settings.scaling.max - settings.core.count if settings.scaling else settings.task.count
    return groups(replace(settings, task=replace(settings.task, count=most)))


def hourly(of: Sequence[Group], region: str, prices: Prices, private: bool = False) -> Cost:
    """Of an hour. Spot counts as the middle of what was seen."""
    parts: dict[str, float] = {}
    price = Asked(prices, region)
    price.unknown |= {DISKS, ENDPOINTS if private else ADDRESSES}
    for group in of:
        if machine := price(group.type):
            if group.spot and machine.spot is None:
                price.unknown.add(f"{group.type} on Spot")
            else:
                each = sum(machine.spot) / 2 if group.spot and machine.spot else machine.usd
                parts[f"EC2, {group.count} {group.role}{' on Spot' if group.spot else ''}"] = group.count * each
        if fee := price(f"emr fee {group.type}"):
            parts["EMR fee"] = parts.get("EMR fee", 0.0) + group.count * fee.usd
    return Cost(parts, sorted(price.unknown), sorted(price.assumed))


@dataclass(frozen=True)
class Job:
    """Of a backend, by the benchmarks' projection: seconds until the cluster is ready and of the run, and what both cost."""

    backend: str
    start_seconds: float
    run_seconds: float
    usd: float


def jobs(settings: Settings, images: int, prices: Prices) -> tuple[list[Job], str]:
    """On the cluster that the settings make."""
    return jobs_on(groups(settings), settings.region, images, prices, settings.network.private)


def jobs_on(of: Sequence[Group], region: str, images: int, prices: Prices, private: bool = False) -> tuple[list[Job], str]:
    """Of each backend, and from which measurement; none where the model does not know the type of the nodes that work."""
    from benchmarks.projection import INSTANCES, Assumptions, engines, projected
    from benchmarks.report.results import read_results

    workers = [group for group in of if group.role != "primary"]
    kinds = {group.type for group in workers}
    measured = studies()
    if len(kinds) != 1 or not kinds <= set(INSTANCES) or not measured:
        return [], f"no projection: the benchmarks' model knows {', '.join(INSTANCES)}, one of them for core and task nodes"
    results = read_results([measured[-1]])
    cluster = Cluster(workers[0].type, sum(group.count for group in workers))
    by_hour = hourly(of, region, prices, private).total
    found = []
    for engine in engines(results.first):
        one = projected(engine, cluster, images, prices, region, Assumptions())
        found.append(Job(engine.name, one.start_seconds, one.seconds, by_hour * one.whole / 3600))
    machine = results.first["machine"]
    return (
        found,
        f"projected from {machine['cores']} cores of {machine['processor']}, {machine['date'][:10]}: a vCPU taken for as fast as a core",
    )


def studies() -> list[Path]:
    """Of this machine, the newest last. Their folders are named by the date alone, which those of quick ones and of clusters are not."""
    return sorted(study for study in MEASURED.glob("*/study.json") if _DATE.fullmatch(study.parent.name))
