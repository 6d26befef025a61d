"""Folders that the nodes of the test cluster see, on HDFS and on S3, without a line of `fruits`."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote
from uuid import uuid4

import pytest
import requests

import s3
from hadoop.cluster import Cluster
from hadoop.network import HEAD

CONNECTIONS = 8  # requests at a time


@dataclass
class Listing:
    """`files`: by key, what changes with each writing of the file, though it be of the same bytes. `folders`: their keys, where there are
    folders; that of the listed one is empty."""

    files: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)


class Place(Protocol):
    """Paths are absolute, and lie below `url`."""

    name: str
    url: str

    def listing(self, path: str) -> Listing:
        """Everything below, with keys relative to the path; nothing where it does not exist."""

    def put(self, path: str, data: bytes) -> None: ...

    def get(self, path: str) -> bytes: ...

    def remove(self, path: str) -> None:
        """Removes a file, or a folder with nothing in it."""

    def make_folder(self, path: str) -> None: ...


class Hdfs:
    """Below a new folder of alice's, over WebHDFS."""

    name = "hdfs"

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._root = f"/user/alice/{uuid4().hex[:12]}"
        self.url = f"hdfs://{self._root}"

    def rights(self, path: str) -> dict[str, str]:
        """Of everything below, and of the folder itself, in octal digits."""
        found = {"": str(self._call("GET", path, "GETFILESTATUS")["FileStatus"]["permission"])}
        for entry in self._call("GET", path, "LISTSTATUS")["FileStatuses"]["FileStatus"]:
            name = entry["pathSuffix"]
            below = self.rights(f"{path}/{name}") if entry["type"] == "DIRECTORY" else {"": str(entry["permission"])}
            found |= {f"{name}/{key}".rstrip("/"): rights for key, rights in below.items()}
        return found

    def listing(self, path: str) -> Listing:
        found = Listing()
        folders = [""]
        while folders:
            folder = folders.pop()
            try:
                entries = self._call("GET", f"{path}/{folder}".rstrip("/"), "LISTSTATUS")["FileStatuses"]["FileStatus"]
            except requests.HTTPError as failed:
                if failed.response.status_code != 404:
                    raise
                continue
            found.folders.add(folder)
            for entry in entries:
                key = f"{folder}/{entry['pathSuffix']}" if folder else entry["pathSuffix"]
                if entry["type"] == "DIRECTORY":
                    folders.append(key)
                else:
                    found.files[key] = f"{entry['fileId']} of {entry['modificationTime']}"
        return found

    def put(self, path: str, data: bytes) -> None:
        self._call("PUT", path, "CREATE", data, overwrite="true")

    def get(self, path: str) -> bytes:
        return bytes(self._call("GET", path, "OPEN"))

    def remove(self, path: str) -> None:
        self._call("DELETE", path, "DELETE")

    def make_folder(self, path: str) -> None:
        self._call("PUT", path, "MKDIRS")

    def _call(self, method: str, path: str, operation: str, data: bytes | None = None, **parameters: str) -> Any:
        return self._cluster.hdfs(method, quote(self._root + path), operation, "alice", data, **parameters)


class S3:
    """A bucket of its own, which keeps versions: an object that was written again has another, though its ETag be the same.

    `keys`: the only ones that the server takes.
    """

    name = "s3"

    def __init__(self, endpoint: str, keys: dict[str, str]) -> None:
        import boto3  # not in the environment of dask-yarn, whose tests are on HDFS
        from botocore.config import Config

        self.endpoint, self.keys = endpoint, keys
        self._bucket = f"fruits-{uuid4().hex[:12]}"
        self.url = f"s3://{self._bucket}"
        settings = Config(max_pool_connections=CONNECTIONS)
        self._client = boto3.client("s3", region_name="us-east-1", endpoint_url=endpoint, config=settings, **keys)
        self._client.create_bucket(Bucket=self._bucket)
        self._client.put_bucket_versioning(Bucket=self._bucket, VersioningConfiguration={"Status": "Enabled"})

    def listing(self, path: str) -> Listing:
        prefix = path.removeprefix("/") + "/"
        pages = self._client.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=prefix)
        versions = [version for page in pages for version in page.get("Versions", ()) if version["IsLatest"]]
        return Listing({version["Key"].removeprefix(prefix): version["VersionId"] for version in versions})

    def put(self, path: str, data: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=path.removeprefix("/"), Body=data)

    def get(self, path: str) -> bytes:
        return bytes(self._client.get_object(Bucket=self._bucket, Key=path.removeprefix("/"))["Body"].read())

    def remove(self, path: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=path.removeprefix("/"))

    def make_folder(self, path: str) -> None:
        """Folders are only names."""


@contextmanager
def place(name: str, cluster: Cluster, folder: Path) -> Iterator[Place]:
    """The place of that name, for this process and all containers; KeyError for another. `folder`: for the keys of this process."""
    if name == "hdfs":
        yield Hdfs(cluster)
        return
    with {"s3": s3_server}[name](cluster, folder) as (address, keys), pytest.MonkeyPatch.context() as patch:
        for variable, value in s3.environment(address, folder, keys).items():
            patch.setenv(variable, value)
        yield S3(address, keys)


@contextmanager
def s3_server(cluster: Cluster, folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of an S3 server that every node reaches, and the only keys that it takes; the nodes get them as files."""
    with s3.moto_server(folder / "moto.log", HEAD) as address:
        keys = s3.allowed(address, "s3:*")
        for node in cluster.nodes:
            give_keys(cluster, node.name, s3.credentials(keys))
        yield address, keys


def give_keys(cluster: Cluster, node: str, credentials: str) -> None:
    """Writes ~/.aws/credentials of a node's containers, whose home is /home."""
    script = "mountpoint -q /home || mount -t tmpfs tmpfs /home && mkdir -p /home/.aws && cat > /home/.aws/credentials"
    subprocess.run(cluster.enter(node, "sh", "-c", script), input=credentials, text=True, check=True)
