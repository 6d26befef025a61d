"""What a cluster is to be: `cluster.toml`, a file of the user's, a profile and the command line, in this order; the last wins."""

import ipaddress
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_args, get_type_hints

from bootstrap.releases import release_of
from fruits.errors import BadArgument

DEFAULTS = Path(__file__).with_name("cluster.toml")
PROJECT, MANAGED_BY = "fruits", "fruits-bootstrap"  # the tags by which `ls` finds what is ours, and `down` leaves alone what is not
LEAST_IDLE_MINUTES = 10  # EMR takes 1; clusters with less than that have ended before their first job
MOST_IDLE_MINUTES = 7 * 24 * 60  # AutoTerminationPolicy.IdleTimeout: 604,800 s
WIDEST = 24  # bits of an IPv4 prefix that is somebody's own network
# AmazonEMRServicePolicy_v2 lets EMR touch only what has it.
MANAGED_POLICY_TAG = {"for-use-with-amazon-emr-managed-policies": "true"}
OWN_TAGS = ("Project", "ManagedBy", "Name", *MANAGED_POLICY_TAG)
_NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True)
class Primary:
    type: str


@dataclass(frozen=True)
class Core:
    type: str
    count: int


@dataclass(frozen=True)
class Task:
    type: str
    count: int
    spot: bool


@dataclass(frozen=True)
class Scaling:
    """Core and task nodes in all."""

    min: int
    max: int


@dataclass(frozen=True)
class Access:
    way: str
    cidr: str
    key_pair: str
    key_file: str


@dataclass(frozen=True)
class Network:
    vpc: str
    subnet: str
    private: bool


@dataclass(frozen=True)
class Budget:
    usd_a_month: int
    email: str


@dataclass(frozen=True)
class Settings:
    """Checked: what no cluster can be is refused here, before any call. Meanings in `cluster.toml`."""

    name: str
    region: str
    bucket: str
    release: str
    applications: tuple[str, ...]
    idle_minutes: int
    tensorflow: bool
    wheels: bool
    primary: Primary
    core: Core
    task: Task
    access: Access
    network: Network
    budget: Budget
    scaling: Scaling | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise BadArgument(f"name = {self.name!r}", "begin with a small letter; small letters, digits and hyphens, 30 at most")
        if self.bucket and (not _BUCKET.fullmatch(self.bucket) or ".." in self.bucket):
            raise BadArgument(f"bucket = {self.bucket!r} is no name of a bucket", "give the name alone, without s3:// and folders")
        release_of(self.release).check_applications(self.applications)
        if not LEAST_IDLE_MINUTES <= self.idle_minutes <= MOST_IDLE_MINUTES:
            raise BadArgument(
                f"idle_minutes = {self.idle_minutes}: there is no cluster without an end",
                f"give {LEAST_IDLE_MINUTES} to {MOST_IDLE_MINUTES}: below, clusters end before their first job",
            )
        if self.core.count < 1 or self.task.count < 0:
            raise BadArgument(f"{self.core.count} core and {self.task.count} task nodes", "HDFS needs 1 core node at least")
        workers = self.core.count + self.task.count
        if self.scaling and not 1 <= self.scaling.min <= workers <= self.scaling.max:
            raise BadArgument(
                f"[scaling] min = {self.scaling.min}, max = {self.scaling.max} with {workers} nodes to start with",
                "the nodes to start with, core and task, lie between min and max",
            )
        if self.access.way not in ("ssm", "ssh"):
            raise BadArgument(f"[access] way = {self.access.way!r}", 'give "ssm" or "ssh"')
        if self.access.cidr:
            check_own(self.access.cidr)
        if self.budget.usd_a_month < 1:
            raise BadArgument(f"[budget] usd_a_month = {self.budget.usd_a_month}", "give 1 or more")
        for key, value in self.tags.items():
            if key in OWN_TAGS:
                raise BadArgument(f"[tags] {key} = {value!r}: what is made has that tag already", f"leave out {', '.join(OWN_TAGS)}")
            if key.lower().startswith("aws:") or len(key) > 128 or len(value) > 256:
                raise BadArgument(f"[tags] {key} = {value!r}", "AWS takes 128 characters of a name, 256 of a value, and no aws:")

    def bucket_of(self, account: str) -> str:
        """The name of the bucket, in that account."""
        return self.bucket or f"fruits-{account}-{self.region}"

    @property
    def all_tags(self) -> dict[str, str]:
        return {**self.tags, "Project": PROJECT, "ManagedBy": MANAGED_BY, "Name": self.name}


def check_own(cidr: str) -> None:
    """Raises `BadArgument` for what is no IPv4 network, and for one that is wider than anybody's own."""
    try:
        network = ipaddress.IPv4Network(cidr)
    except ValueError as fault:
        raise BadArgument(
            f"[access] cidr = {cidr!r} is no IPv4 network: {fault}", "give your own IPv4 address, such as 203.0.113.7/32"
        ) from fault
    if network.prefixlen < WIDEST:
        raise BadArgument(
            f"[access] cidr = {cidr!r} is open to {'the world' if not network.prefixlen else 'a large network'}",
            "give your own address, such as 203.0.113.7/32: nothing of ours is open to others",
        )


def read_settings(config: Path | None, profile: str | None, given: Mapping[str, Any]) -> Settings:
    """`given`: of the command line, by the names of `cluster.toml`, tables as mappings. Raises `BadArgument`."""
    content = _content(DEFAULTS)
    sources = [content.pop("profiles")]
    own = config or (Path(DEFAULTS.name) if Path(DEFAULTS.name).is_file() else None)
    if own:
        of_user = _content(own)
        sources.append(of_user.pop("profiles", {}))
        content = _over(content, of_user)
    profiles: dict[str, Any] = {}
    for source in sources:
        profiles = _over(profiles, source)
    if profile is not None:
        if profile not in profiles:
            raise BadArgument(f"there is no profile {profile!r}", f"choose one of: {', '.join(profiles)}")
        content = _over(content, profiles[profile])
    settings: Settings = _built(Settings, _over(content, given), "")
    if settings.applications:
        return settings
    return replace(settings, applications=release_of(settings.release).family.applications)


def _content(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise BadArgument(f"{path} cannot be read: {fault}", "mend it, or give another --config") from fault


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        merged[name] = _over(below[name], value) if isinstance(value, Mapping) and isinstance(below.get(name), Mapping) else value
    return merged


def _built(of: Any, content: Any, where: str) -> Any:
    """An instance of that dataclass; raises `BadArgument` for names that it has not, or lacks, and for values of another type."""
    if not isinstance(content, Mapping):
        raise BadArgument(f"{where} = {content!r} is no table", "look at bootstrap/cluster.toml")
    types, values = get_type_hints(of), {}
    for name, value in content.items():
        if name not in types:
            raise BadArgument(f"there is no setting {where}{name}", f"there are: {', '.join(types)}")
        values[name] = _value(types[name], value, where + name)
    for one in fields(of):
        if one.name not in values and one.name not in ("scaling", "tags"):
            raise BadArgument(f"the setting {where}{one.name} is missing", "look at bootstrap/cluster.toml")
    return of(**values)


def _value(kind: Any, value: Any, name: str) -> Any:
    kind = next((one for one in get_args(kind) if is_dataclass(one)), kind)  # Scaling of Scaling | None
    if is_dataclass(kind):
        return _built(kind, value, f"{name}.")
    if kind in (str, int, bool):
        if type(value) is not kind:
            raise BadArgument(f"{name} = {value!r} is no {_WORDS[kind]}", "look at bootstrap/cluster.toml")
        return value
    if kind == tuple[str, ...]:
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            raise BadArgument(f"{name} = {value!r} is no list of texts", "look at bootstrap/cluster.toml")
        return tuple(value)
    if not isinstance(value, Mapping) or not all(isinstance(one, str) for one in value.values()):
        raise BadArgument(f"{name} = {value!r} is no table of texts", "look at bootstrap/cluster.toml")
    return dict(value)


_WORDS = {str: "text", int: "whole number", bool: "true or false"}
