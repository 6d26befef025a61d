"""What a run on a cluster costs, part by part, by a table of prices. Dollars.

EC2 and EMR are billed by the second, with a minimum of a minute (https://aws.amazon.com/emr/pricing/). EMR's fee comes on top of EC2 for
each instance, on Spot too. S3: a GET an image, a PUT a file of results, a LIST a thousand names; storage for a month.
"""

from dataclasses import dataclass, field

from benchmarks.prices import Asked, Price, Prices

MINIMUM_SECONDS = 60.0
LISTED = 1000  # names in an answer of S3
HOUR = 3600.0


@dataclass(frozen=True)
class Cluster:
    """`nodes` that work, and where `emr` one more that does not: the primary. Without EMR one machine by itself."""

    instance: str
    nodes: int
    emr: bool = True
    spot: bool = False

    def __str__(self) -> str:
        if not self.emr:
            return f"one {self.instance} without a cluster"
        return f"1 + {self.nodes} {self.instance}{' (workers on Spot)' if self.spot else ''}"


@dataclass(frozen=True)
class Usage:
    """What a run takes. `start_seconds`: until the cluster is ready, in which it is paid for like later. `files`: of results."""

    start_seconds: float
    run_seconds: float
    images: int
    files: int
    stored_bytes: float


@dataclass(frozen=True)
class Cost:
    """`parts`: dollars by what they are for. `unknown`: what has no price, and is in no sum. `assumed`: what stood in for a price."""

    parts: dict[str, float]
    unknown: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)

    @property
    def total(self) -> float:
        return sum(self.parts.values())

    def __str__(self) -> str:
        return f"{'at least ' if self.unknown else ''}${self.total:,.2f}"


def cost_of(prices: Prices, region: str, cluster: Cluster, usage: Usage) -> Cost:
    parts: dict[str, float] = {}
    price = Asked(prices, region)
    machine = price(cluster.instance)
    fee = price(f"emr fee {cluster.instance}") if cluster.emr else None
    for what, seconds in _billed(usage).items():
        if machine:
            hourly = machine.usd if cluster.emr else 0.0
            parts[f"EC2, {what}"] = seconds / HOUR * (hourly + cluster.nodes * _worker_hour(machine, cluster, price.unknown))
        if fee:
            parts[f"EMR fee, {what}"] = seconds / HOUR * fee.usd * (cluster.nodes + 1)
    for item, count, per in (
        ("s3 get", usage.images, 1000.0),
        ("s3 put", usage.files + -(-usage.images // LISTED), 1000.0),
        ("s3 standard storage", usage.stored_bytes / 1e9, 1.0),
    ):
        if found := price(item):
            parts[_S3[item]] = count / per * found.usd
    return Cost(parts, sorted(price.unknown), sorted(price.assumed))


_S3 = {"s3 get": "S3, reading images", "s3 put": "S3, writing and listing", "s3 standard storage": "S3, results for a month"}


def _billed(usage: Usage) -> dict[str, float]:
    """Seconds of start and of run: the minimum counts as run."""
    whole = max(usage.start_seconds + usage.run_seconds, MINIMUM_SECONDS)
    return {"start": usage.start_seconds, "run": whole - usage.start_seconds}


def _worker_hour(machine: Price, cluster: Cluster, unknown: set[str]) -> float:
    if not cluster.spot:
        return machine.usd
    if machine.spot is None:
        unknown.add(f"{machine.item} on Spot")
        return 0.0
    return sum(machine.spot) / 2
