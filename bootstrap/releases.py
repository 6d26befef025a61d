"""What a release of EMR brings and asks for, by the family of its label. From AWS's release notes:
https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-7130-release.html, emr-spark800-release.html
and emr-spark810-release.html. Which releases a region has, and what is in one, `preflight` asks EMR.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from fruits.errors import BadArgument

JUPYTERHUB = "JupyterHub"
_LABEL = re.compile(r"(?P<family>emr|emr-spark)-(?P<major>\d+)\.\d+\.\d+")
_AMAZON_LINUX_2023 = 7  # the first major version on it
_SERVICE_ENDPOINT = 8  # the first that EMR reaches through an endpoint of the VPC


@dataclass(frozen=True)
class Family:
    """`example`: the release that advice names. `applications`: what the request has where the
    settings leave it open. `needed`: without which neither backend runs. `absent`: what another
    family has and this one has not, and `advice` what to do without it.
    """

    example: str
    applications: tuple[str, ...]
    needed: tuple[str, ...]
    absent: tuple[str, ...] = ()
    advice: str = ""


FAMILIES = {
    "emr": Family("emr-7.13.0", ("Hadoop", "Spark", JUPYTERHUB), ("Hadoop", "Spark")),
    # Spark brings HDFS and YARN there: Hadoop is a component, and no application of its own.
    "emr-spark": Family(
        "emr-spark-8.1.0",
        ("Spark",),
        ("Spark",),
        absent=("Hadoop", "Hue", JUPYTERHUB, "Zeppelin"),
        advice='leave it out, or give applications = ["Spark"], which brings HDFS and YARN; '
        "`submit` runs jobs without a notebook, and emr-7.13.0 has JupyterHub",
    ),
}
EXAMPLES = " or ".join(family.example for family in FAMILIES.values())


@dataclass(frozen=True)
class Release:
    label: str
    family: Family
    major: int

    @property
    def needs_service_endpoint(self) -> bool:
        """Whether a private subnet needs an endpoint to EMR itself:
        https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-clusters-in-a-vpc.html
        """
        return self.major >= _SERVICE_ENDPOINT

    def check_applications(self, names: Iterable[str]) -> None:
        """Raises `BadArgument` for those that the family is known not to have."""
        absent = {name.lower() for name in self.family.absent}
        missing = " and no ".join(name for name in names if name.lower() in absent)
        if missing:
            raise BadArgument(f"applications: {self.label} has no {missing}", self.family.advice)


def release_of(label: str) -> Release:
    """Raises `BadArgument` for what is no label of EMR on EC2."""
    parts = _LABEL.fullmatch(label)
    if not parts:
        message = f"release = {label!r} is no label of a release"
        raise BadArgument(message, f"give one such as {EXAMPLES}")
    return Release(label, FAMILIES[parts["family"]], int(parts["major"]))


def check_release(label: str) -> None:
    """Raises `BadArgument` for a release on which the nodes' Python cannot run."""
    if release_of(label).major < _AMAZON_LINUX_2023:
        raise BadArgument(
            f"{label} runs Amazon Linux 2, whose glibc 2.26 is too old for the wheels of today's "
            "numpy and LiteRT, which need 2.27 at least",
            f"give {EXAMPLES}, or a later one; `plan` shows the request all the same",
        )


def same_family(label: str, labels: Iterable[str]) -> list[str]:
    """Those of the same family."""
    return [other for other in labels if other.rpartition("-")[0] == label.rpartition("-")[0]]
