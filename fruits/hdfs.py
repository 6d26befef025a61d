"""A folder on HDFS, over WebHDFS: fsspec's client, with retries, the active NameNode, and errors as the operating system has them."""

import errno
import os
import random
import re
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests
from fsspec.implementations.webhdfs import WebHDFile, WebHDFS

from fruits import hadoop
from fruits.errors import BadArgument

ATTEMPTS = 8  # with the pauses about 25 s, in which another NameNode takes over
_PROBES = 3  # to find out whether anything answers at all
_TIMEOUT = (10, 60)  # seconds to connect, and between two packets
_LISTERS = 8  # folders listed at a time
# Not for ever: NameNodes that stand by or start, and what a DataNode says of faults of its own.
_PASSING = {"StandbyException", "RetriableException", "SafeModeException", "ObserverRetryOnActiveException", "IOException"}


class HdfsFolder:
    """Keys are relative to the URL. Faults of one file are the subclasses of `OSError` for them, every other is a plain `OSError`."""

    def __init__(self, url: str) -> None:
        authority = hadoop.authority_of(url)
        self._url, self._root = url, re.sub("/+", "/", "/" + url.removeprefix("hdfs://")[len(authority) :].strip("/"))
        self._addresses = tuple(hadoop.webhdfs_addresses(authority))
        self._client = _Client(self._addresses, hadoop.user(), ATTEMPTS)

    def _path(self, key: str) -> str:
        return f"{self._root.rstrip('/')}/{key}" if key else self._root

    def read(self, key: str) -> bytes:
        return self._client.cat_file(self._path(key))

    def open(self, key: str) -> Any:
        return self._client.open(self._path(key), "rb")

    def write(self, key: str, data: bytes | Path, draft: str) -> None:
        """`data`: the bytes, or the local file that holds them. `draft`: the key under which they are until they are complete."""
        size = data.stat().st_size if isinstance(data, Path) else len(data)
        self._client.upload(self._path(draft), data)
        try:
            self._client.replace(self._path(draft), self._path(key))
        except FileNotFoundError:  # renamed already, if it was only the answer that got lost
            if self._client.info(self._path(key))["size"] != size:
                raise

    def write_new(self, key: str, data: bytes) -> None:
        self._client.upload(self._path(key), data, overwrite=False)

    def names(self, key: str) -> list[str]:
        """Names of the files in the folder `key`; none where it does not exist."""
        return [name for name, _, _ in self.files(key)]

    def files(self, key: str) -> Iterator[tuple[str, int, str]]:
        """Name, size in bytes and modification time of the files in the folder `key`; none where it does not exist."""
        try:
            found = self._client.ls(self._path(key), detail=True)
        except FileNotFoundError:
            return
        for entry in found:
            if entry["type"] == "file" and entry["pathSuffix"]:
                yield entry["pathSuffix"], entry["size"], str(entry["modificationTime"])

    def status(self, key: str) -> tuple[int, str]:
        """Size in bytes and modification time."""
        entry = self._client.info(self._path(key))
        if entry["type"] == "directory":
            raise IsADirectoryError(errno.EISDIR, "a folder", self._path(key))
        return entry["size"], str(entry["modificationTime"])

    def walk(self) -> Iterator[tuple[str, int, str]]:
        """Key, size in bytes and modification time of every file below, in no order."""
        with ThreadPoolExecutor(_LISTERS) as pool:
            running: set[Future[tuple[str, list[dict[str, Any]]]]] = {pool.submit(self._listed, "")}
            try:
                while running:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for folder, entries in (future.result() for future in done):
                        for entry in entries:
                            key = f"{folder}/{entry['pathSuffix']}" if folder else entry["pathSuffix"]
                            if entry["type"] == "directory":
                                running.add(pool.submit(self._listed, key))
                            else:
                                yield key, entry["size"], str(entry["modificationTime"])
            finally:
                pool.shutdown(cancel_futures=True)  # after a fault the others are of no use

    def _listed(self, folder: str) -> tuple[str, list[dict[str, Any]]]:
        return folder, self._client.ls(self._path(folder), detail=True)

    def exists(self) -> bool:
        """Whether it is a folder. Raises `BadArgument` when that cannot be found out."""
        try:
            return bool(_Client(self._addresses, hadoop.user(), _PROBES).info(self._root)["type"] == "directory")
        except FileNotFoundError:
            return False
        except PermissionError as denied:
            raise BadArgument(
                f"{self._url}: access denied: {denied.strerror}", f"ask for the right, or set {hadoop.USER} to a user who has it"
            ) from denied
        except (OSError, KeyError) as failed:  # KeyError: JSON of something else
            raise BadArgument(
                f"{self._url} cannot be reached: {_said(failed)}",
                f"check that a NameNode answers at {' or '.join(self._addresses)}, and dfs.namenode.http-address in HADOOP_CONF_DIR; "
                "a folder of the default file system has three slashes: hdfs:///folder",
            ) from failed

    def empty(self) -> bool:
        return not self.exists() or not self._client.ls(self._root)

    def remove(self, key: str) -> None:
        self._client.rm_file(self._path(key))

    def remove_if_empty(self, key: str) -> None:
        path = self._path(key)
        if self._client.isdir(path) and not self._client.ls(path):
            self._client.rm_file(path)  # not recursive: refused when something has come


class _Client(WebHDFS):  # type: ignore[misc]
    """`addresses`: of the NameNodes, of which one is active."""

    def __init__(self, addresses: tuple[str, ...], user: str, attempts: int) -> None:
        if self._cached:  # fsspec's: the same arguments give the same object, which is made once
            return
        self._bases, self._active, self._attempts = [f"{address}/webhdfs/v1" for address in addresses], 0, max(attempts, len(addresses) + 1)
        first = urlsplit(addresses[0])
        super().__init__(first.hostname, first.port, user=user, session_verify=os.environ.get("REQUESTS_CA_BUNDLE", True))

    def _connect(self) -> None:
        super()._connect()
        self.session.trust_env = False  # a proxy of the office does not know the cluster's hosts
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, requests.adapters.HTTPAdapter(pool_maxsize=2 * _LISTERS))

    def upload(self, path: str, data: bytes | Path, overwrite: bool = True) -> None:
        """The file, and what is missing above it, is its owner's alone: folders that CREATE makes have the rights of those above them.

        Raises `FileExistsError` where there is a file that is not to be overwritten.
        """
        self._call("MKDIRS", "put", path.rpartition("/")[0] or "/", permission="700")
        self._call("CREATE", "put", path, data, overwrite=str(overwrite).lower(), permission="600")

    def replace(self, path: str, target: str) -> None:
        """Renames; a file under the target's name is replaced in the same transaction of the NameNode."""
        self._call("RENAME", "put", path, destination=target, renameoptions="OVERWRITE")

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        if start is None or end is None:
            return bytes(self._call("OPEN", path=path).content)
        return bytes(self._call("OPEN", path=path, offset=start, length=end - start).content)

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **_: Any) -> Any:
        return _Reader(self, path, mode=mode, block_size=block_size or self.blocksize, tempdir=self.tempdir, autocommit=True)

    def _call(
        self,
        op: str,
        method: str = "get",
        path: str | None = None,
        data: bytes | Path | None = None,
        **parameters: Any,
    ) -> requests.Response:
        """Every operation used here may be repeated. The retries are not urllib3's because some of them go to another NameNode."""
        fault: Exception = OSError(errno.EIO, "not tried")
        for attempt in range(self._attempts):
            base = self._active
            try:
                return self._once(self._bases[base], op, method, path or "/", data, parameters)
            except _PassingFault as passing:
                fault = OSError(errno.EIO, str(passing))
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as failed:
                fault = OSError(errno.EIO, f"{self._bases[base].removesuffix('/webhdfs/v1')}: {_said(failed)}")
            self._active = (base + 1) % len(self._bases)
            if attempt + 1 >= len(self._bases) and attempt + 1 < self._attempts:  # each of them was asked
                time.sleep(min(0.1 * 2**attempt, 10) * random.uniform(0.7, 1.3))  # noqa: S311  workers must not come back all at once
        raise fault

    def _once(self, base: str, op: str, method: str, path: str, data: bytes | Path | None, parameters: dict[str, Any]) -> requests.Response:
        parameters = {**parameters, **self.pars, "op": op}
        answer: requests.Response = self.session.request(
            method.upper(), base + quote(path, safe="/"), params=parameters, allow_redirects=False, timeout=_TIMEOUT
        )
        _raise_for(answer, path)
        if answer.status_code != requests.codes.temporary_redirect:
            return answer
        location, headers = answer.headers["Location"], {"content-type": "application/octet-stream"}
        if isinstance(data, Path):
            with data.open("rb") as body:
                answer = self.session.request(method.upper(), location, data=body, headers=headers, timeout=_TIMEOUT)
        else:
            answer = self.session.request(method.upper(), location, data=data, headers=headers, timeout=_TIMEOUT)
        _raise_for(answer, path)
        return answer


class _Reader(WebHDFile):  # type: ignore[misc]
    def _fetch_range(self, start: int, end: int) -> bytes:
        """fsspec's own takes a DataNode's error message for the content."""
        end = min(self.size, end)
        return bytes(self.fs.cat_file(self.path, start, end)) if start < end else b""


class _PassingFault(Exception):
    """It may be gone when the operation is tried again."""


def _raise_for(answer: requests.Response, path: str) -> None:
    if answer.status_code < requests.codes.bad_request:
        return
    if answer.status_code == requests.codes.unauthorized:
        raise OSError(errno.EKEYREJECTED, "HDFS wants a proof of who asks (Kerberos), which fruits cannot give yet")
    try:
        remote = answer.json()["RemoteException"]
        name, message = str(remote["exception"]), str(remote["message"]).partition("\n")[0]
    except (ValueError, KeyError, TypeError):
        what = f"{answer.status_code} {answer.reason}"
        if answer.status_code >= requests.codes.server_error or answer.status_code == requests.codes.too_many_requests:
            raise _PassingFault(what) from None
        raise OSError(errno.EIO, f"{urlsplit(answer.url).netloc} answers {what}, not as WebHDFS does") from None
    if name in _PASSING or answer.status_code >= requests.codes.server_error:
        raise _PassingFault(f"{name}: {message}")
    if name == "AccessControlException":
        raise PermissionError(errno.EACCES, message, path)
    if name in ("FileAlreadyExistsException", "AlreadyBeingCreatedException"):
        raise FileExistsError(errno.EEXIST, message, path)
    if name == "FileNotFoundException":
        if "not a file" in message:
            raise IsADirectoryError(errno.EISDIR, message, path)
        raise FileNotFoundError(errno.ENOENT, message, path)
    raise OSError(errno.EIO, f"{name}: {message}")


def _said(failed: Exception) -> str:
    """What went wrong, without the objects in which requests and urllib3 wrap it."""
    text = str(getattr(failed, "strerror", None) or failed)
    return found[1] if (found := re.search(r"\[Errno -?\d+\] ([^'\")]+)", text)) else text
