"""The pages that a cluster's primary node serves, to which only a tunnel leads."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bootstrap.cluster import Cluster
    from bootstrap.context import Context


@dataclass(frozen=True)
class Page:
    """`loopback`: it listens on the primary's own loopback address alone."""

    name: str
    port: int
    scheme: str = "http"
    loopback: bool = False


# Ports of EMR: https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-web-interfaces.html
PAGES = (
    Page("ResourceManager", 8088),
    Page("HDFS", 9870),
    Page("Spark history", 18080),
    Page("JupyterHub", 9443, "https"),
    Page("Dask dashboard", 8787, loopback=True),
)


def show_uis(context: "Context", cluster: "Cluster") -> None:
    for page in PAGES:
        host = "localhost" if page.loopback else cluster.host
        context.say(f"{page.name}: {page.scheme}://{host}:{page.port}")
    context.say("they are reached through `tunnel`")
