"""What EMR wrote into the bucket of what happened on the nodes: gzipped files, some minutes after."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass

from bootstrap.aws import Account
from bootstrap.cluster import Cluster
from bootstrap.request import LOGS


@dataclass(frozen=True)
class Log:
    """`name` below the cluster's folder, such as `steps/s-1/stderr.gz`. `size`: bytes in the bucket."""

    bucket: str
    key: str
    name: str
    size: int

    def text(self, account: Account) -> str:
        content = account.s3.get_object(Bucket=self.bucket, Key=self.key)["Body"].read()
        return (gzip.decompress(content) if self.key.endswith(".gz") else content).decode(errors="replace")


def logs(account: Account, cluster: Cluster, below: str = "") -> Iterator[Log]:
    """The cluster's, whose names begin like that, in their order."""
    folder = f"{LOGS}/{cluster.id}/"
    for page in account.s3.get_paginator("list_objects_v2").paginate(Bucket=cluster.bucket, Prefix=folder + below):
        for found in page.get("Contents", []):
            yield Log(cluster.bucket, found["Key"], found["Key"].removeprefix(folder), found["Size"])


def of_bootstrap(account: Account, cluster: Cluster) -> list[Log]:
    """What the nodes' bootstrap actions said, by node."""
    return [log for log in logs(account, cluster, "node/") if "/bootstrap-actions/" in log.name and not log.name.endswith("controller.gz")]
