"""The pages that a cluster's primary node serves, to which only a tunnel leads."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bootstrap.releases import JUPYTERHUB

if TYPE_CHECKING:
    from bootstrap.cluster import Cluster
    from bootstrap.context import Context


@dataclass(frozen=True)
class Page:
    """`loopback`: it listens on the primary's own loopback address alone. `application`: of EMR,
    which serves it; empty where every cluster has it."""

    name: str
    port: int
    scheme: str = "http"
    loopback: bool = False
    application: str = ""


# Ports of EMR: https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-web-interfaces.html
PAGES = (
    Page("ResourceManager", 8088),
    Page("HDFS", 9870),
    Page("Spark history", 18080),
    Page("JupyterHub", 9443, "https", application=JUPYTERHUB),
    Page("Dask dashboard", 8787, loopback=True),
)


def pages_of(cluster: "Cluster") -> list[Page]:
    return [page for page in PAGES if not page.application or cluster.has(page.application)]


def show_uis(context: "Context", cluster: "Cluster") -> None:
    for page in pages_of(cluster):
        host = "localhost" if page.loopback else cluster.host
        context.say(f"{page.name}: {page.scheme}://{host}:{page.port}")
    context.say("they are reached through `tunnel`")
