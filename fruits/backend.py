"""What a backend must do, and where the backends are found."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, Self, TypeVar

from fruits.errors import BadArgument, MissingPackage

if TYPE_CHECKING:
    from fruits.pca import FittedAxes

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Workers:
    """How many items may be worked on at a time: `least` and `most` differ where the cluster grows and shrinks with the work."""

    least: int
    most: int

    def __str__(self) -> str:
        return str(self.most) if self.least == self.most else f"{self.least}..{self.most}"


@dataclass(frozen=True)
class YarnSettings:
    """What a YARN cluster is asked for; None is left to the engine's own configuration, or worked out from the nodes.

    `container_memory` in MiB: all that YARN counts. `environment`: the Python of the nodes (`backends.environment`). `launcher`: what
    starts Dask's workers. `worker_environment`: variables that every worker needs.
    """

    queue: str | None = None
    environment: str | None = None
    container_cores: int | None = None
    container_memory: int | None = None
    launcher: str = "fruits"
    worker_environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """Where a backend runs. `session`: the caller's own SparkSession or Client, which is then left open. `yarn`: for that cluster."""

    cluster: str = "local"
    workers: Workers | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    session: Any = None
    yarn: YarnSettings = field(default_factory=YarnSettings)


@dataclass(frozen=True)
class GaveUp(Generic[Item]):
    """An item that ended its worker, or whose function raised, at each of a bounded number of attempts: why, and what to do."""

    item: Item
    cause: str
    advice: str


class Backend(Protocol):
    """An engine that distributes work: a session, a map and a fit.

    What is mapped are functions of `fruits`, which know no engine and write their results themselves; only small summaries travel. An
    eager `map` keeps a lazy engine from booking its work on the next stage.
    """

    name: str

    def __init__(self, settings: Settings) -> None:
        """Raises `BadArgument` for settings that this engine cannot honour. Opens nothing."""

    def __enter__(self) -> Self:
        """Opens the session, or takes the caller's."""

    def __exit__(self, *exc: object) -> None:
        """Closes what `__enter__` opened, and nothing else."""

    @property
    def workers(self) -> int:
        """How many items are worked on at a time; known before the session is open."""

    @property
    def remote(self) -> bool:
        """Whether the workers' Python may be another than this one: they were started elsewhere."""

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result | GaveUp[Item]]:
        """Yields `function(item)` for each item, in the order in which they end, and `GaveUp` for one that the engine gave up.

        `function`, items and results are picklable and small. Raises `RunFailed` when the engine itself has ended.
        """

    def fit(self, features: Sequence[tuple[str, int]], k: int, standardize: bool) -> "FittedAxes":
        """The first k principal axes of the features in these Parquet files (URL and rows of each), by the engine's own PCA."""

    def describe(self) -> dict[str, Any]:
        """Versions, workers, cores and effective configuration, without secrets; before the session is open what is known by then."""


def task_name(function: Callable[..., Any]) -> str:
    """What the engine's web pages call the tasks of a function, which may be partially applied, and given to another."""
    while isinstance(function, partial):
        function = function.args[0] if callable(function.args[0]) else function.func
    return function.__name__


class Entry(NamedTuple):
    target: str  # module:class
    extra: str  # what to install for it
    session: str  # the top-level package of the sessions that it borrows


REGISTRY: dict[str, Entry] = {
    "dask": Entry("backends.dask:DaskBackend", "dask", "distributed"),
    "spark": Entry("backends.spark:SparkBackend", "spark", "pyspark"),
}
DEFAULT = "dask"


def load(name: str) -> type[Backend]:
    """The backend's class; raises `MissingPackage` where its engine is not installed."""
    entry = REGISTRY[name]
    module, attribute = entry.target.split(":")
    try:
        backend: type[Backend] = getattr(import_module(module), attribute)
    except ModuleNotFoundError as missing:
        raise MissingPackage(f"the backend {name} cannot run: the package {missing.name}", entry.extra) from missing
    return backend


def name_for(session: Any) -> str:
    """Which backend a session belongs to; raises `BadArgument` for one of neither."""
    packages = {cls.__module__.partition(".")[0] for cls in type(session).__mro__}
    for name, entry in REGISTRY.items():
        if entry.session in packages:
            return name
    raise BadArgument(f"{type(session).__name__} is no session of a backend", "pass a pyspark.sql.SparkSession or a distributed.Client")
