"""A folder on S3, through s3fs: retried with back-off, listed in parallel, and with errors as the operating system has them.

Credentials, region, endpoint and profile come from the environment and the files of the AWS tools, as botocore takes them.
"""

import errno
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.session
import fsspec
from aiohttp import ClientError as HttpError
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.parsers import ResponseParserError
from obstore.exceptions import BaseError, InvalidPathError, NotFoundError, PermissionDeniedError
from obstore.store import S3Store

from fruits.errors import BadArgument

if TYPE_CHECKING:
    from obstore.store import S3Credential

ATTEMPTS = 8  # of botocore, with pauses of up to 20 s: throttling passes
_PROBES = 3  # to find out whether anything answers at all
_TRANSFERS = 3  # of s3fs around that: connections that break within a body
_LISTERS = 16  # prefixes listed at a time
_MANY = 512  # a listing of everything takes fewer requests than one for each of so many folders
# What a right on this one object would mend; every other refusal is of the account or its keys. 403: the answer to HEAD has no body.
_OF_ONE_OBJECT = {"AccessDenied", "InvalidObjectState", "403"}


_KEYS_FOR = timedelta(minutes=5)  # until botocore is asked for them again

log = logging.getLogger(__name__)


class S3Folder:
    """Keys are relative to the URL. Faults of one object are the subclasses of `OSError` for them, every other is a plain `OSError`."""

    def __init__(self, url: str) -> None:
        self._url = url
        with _as_os_errors(url):
            self._client = _client(ATTEMPTS)
            self._bucket, self._prefix, _ = self._client.split_path(url)

    def _key(self, key: str) -> str:
        """In the bucket."""
        return "/".join(part for part in (self._prefix, key) if part)

    def _path(self, key: str) -> str:
        """As s3fs names it."""
        return f"{self._bucket}/{self._key(key)}"

    def read(self, key: str) -> bytes:
        if (data := self._read_fast(self._key(key))) is not None:
            return data
        with _as_os_errors(self._url):
            # One request: with more at a time it asks for the size first, by HEAD, which does not tell wrong keys from a missing right.
            return bytes(self._client.cat_file(self._path(key), max_concurrency=1))

    def _read_fast(self, key: str) -> bytes | None:
        """By a client that takes a sixth of the processor time of s3fs's; None where it failed: s3fs asks again, and says what it means."""
        if not all(key.split("/")):  # it would leave out empty parts
            return None
        try:
            return bytes(_store(self._bucket).get(key).bytes())
        except (NotFoundError, PermissionDeniedError, InvalidPathError):
            return None
        except (BaseError, BotoCoreError, OSError) as failed:
            log.info("%s: read again by s3fs: %s", self._url, failed)
            _store.cache_clear()  # perhaps of keys that were renewed since
            return None

    def open(self, key: str) -> Any:
        with _as_os_errors(self._url):
            try:
                return self._client.open(self._path(key), "rb")
            except PermissionError:
                # It asks by HEAD, whose answer does not tell wrong keys from a missing right.
                self._client.cat_file(self._path(key), start=0, end=1, max_concurrency=1)
                raise

    def write(self, key: str, data: bytes | Path, _draft: str = "") -> None:
        """`data`: the bytes, or the local file that holds them. S3 shows an object when it is complete, so there is no draft. A page is
        told to be one, so that a browser shows it."""
        kind = {"ContentType": "text/html; charset=utf-8"} if key.endswith(".html") else {}
        with _as_os_errors(self._url):
            if isinstance(data, Path):
                self._client.put_file(str(data), self._path(key), **kind)
            else:
                self._client.pipe_file(self._path(key), data, **kind)

    def write_new(self, key: str, data: bytes) -> None:
        """`FileExistsError` where there is one: S3 looks at If-None-Match."""
        with _as_os_errors(self._url):
            self._client.pipe_file(self._path(key), data, mode="create")

    def names(self, key: str) -> list[str]:
        """Names of the objects in the folder `key`; none where it does not exist."""
        return [name for name, _, _ in self.files(key)]

    def files(self, key: str) -> Iterator[tuple[str, int, str]]:
        """Name, size in bytes and ETag of the objects in the folder `key`; none where it does not exist."""
        prefix = self._below(key)
        try:
            for page in self._pages(self._client, prefix, Delimiter="/"):
                for entry in page.get("Contents", ()):
                    if name := entry["Key"].removeprefix(prefix):  # else the marker of the folder itself
                        yield name, int(entry["Size"]), str(entry["ETag"])
        except FileNotFoundError:
            return

    def status(self, key: str) -> tuple[int, str]:
        """Size in bytes and ETag."""
        with _as_os_errors(self._url):
            answer = self._client.call_s3("head_object", Bucket=self._bucket, Key=self._key(key))
        return int(answer["ContentLength"]), str(answer["ETag"])

    def walk(self) -> Iterator[tuple[str, int, str]]:
        """Key, size in bytes and ETag of every object below, in no order."""
        pages = self._pages(self._client, self._below(""), Delimiter="/")
        first = next(pages)
        if len(first.get("CommonPrefixes", ())) > _MANY:
            yield from self._all_below(self._below(""))
            return
        folders: list[str] = []
        for page in chain([first], pages):
            folders += [entry["Prefix"] for entry in page.get("CommonPrefixes", ())]
            yield from self._entries(page)
        with ThreadPoolExecutor(_LISTERS) as pool:
            for entries in pool.map(lambda folder: list(self._all_below(folder)), folders):
                yield from entries

    def _all_below(self, prefix: str) -> Iterator[tuple[str, int, str]]:
        for page in self._pages(self._client, prefix):
            yield from self._entries(page)

    def _entries(self, page: dict[str, Any]) -> Iterator[tuple[str, int, str]]:
        root = self._below("")
        for entry in page.get("Contents", ()):
            yield entry["Key"].removeprefix(root), int(entry["Size"]), str(entry["ETag"])

    def _below(self, key: str) -> str:
        """The prefix of all that lies in the folder `key`."""
        return "".join(f"{part}/" for part in (self._prefix, key) if part)

    def _pages(self, client: Any, prefix: str, **how: Any) -> Iterator[dict[str, Any]]:
        token: dict[str, str] = {}
        while True:
            with _as_os_errors(self._url):
                page: dict[str, Any] = client.call_s3("list_objects_v2", Bucket=self._bucket, Prefix=prefix, **how, **token)
            yield page
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    def exists(self) -> bool:
        """Whether it is a bucket, or anything lies below. Raises `BadArgument` when that cannot be found out or there is no such bucket."""
        return self._any() or not self._prefix

    def empty(self) -> bool:
        """The marker of the folder itself, which consoles make, is nothing. Raises as `exists` does."""
        return not self._any(but=self._below(""))

    def _any(self, but: str | None = None) -> bool:
        try:
            with _as_os_errors(self._url):
                probe = _client(_PROBES)
            page = next(self._pages(probe, self._below(""), MaxKeys=2))
        except FileNotFoundError as missing:
            raise BadArgument(
                f"there is no folder {self._url}: the bucket {self._bucket} does not exist",
                "check the name of the bucket, and AWS_PROFILE or the endpoint if it is another account's",
            ) from missing
        except PermissionError as denied:
            raise BadArgument(
                f"{self._url} cannot be reached: access to the bucket {self._bucket} is denied",
                "check which credentials are used (aws sts get-caller-identity), and that they may list, read and write there",
            ) from denied
        except (OSError, ValueError) as failed:  # ValueError: an endpoint that is no URL
            raise BadArgument(
                f"{self._url} cannot be reached: {getattr(failed, 'strerror', None) or failed}",
                "check AWS_PROFILE or the other AWS variables, AWS_ENDPOINT_URL, and the network",
            ) from failed
        return any(entry["Key"] != but for entry in page.get("Contents", ()))

    def remove(self, key: str) -> None:
        with _as_os_errors(self._url):
            self._client.rm_file(self._path(key))

    def remove_if_empty(self, key: str) -> None:
        """Folders are only names."""


def _client(attempts: int) -> Any:
    """fsspec gives the same object for the same arguments. Time-outs in seconds."""
    client = fsspec.filesystem(
        "s3",
        use_listings_cache=False,
        config_kwargs={
            "retries": {"mode": "standard", "total_max_attempts": attempts},
            "connect_timeout": 10,
            "read_timeout": 30,
            "max_pool_connections": 2 * _LISTERS,
        },
    )
    client.retries = _TRANSFERS
    return client


@cache
def _store(bucket: str) -> S3Store:
    """Another client of the same endpoint, region and credentials; it tries once."""
    s3 = _client(ATTEMPTS).s3
    credentials = botocore.session.get_session().get_credentials()
    if credentials is None:
        raise NoCredentialsError

    def current() -> "S3Credential":
        keys = credentials.get_frozen_credentials()  # renews them in time where they come from a role
        if keys.access_key is None or keys.secret_key is None:
            raise NoCredentialsError
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "token": keys.token,
            "expires_at": datetime.now(UTC) + _KEYS_FOR,
        }

    return S3Store(
        bucket,
        endpoint=s3.meta.endpoint_url,
        region="us-east-1" if s3.meta.region_name == "aws-global" else s3.meta.region_name,
        credential_provider=current,
        client_options={"allow_http": True, "connect_timeout": "10s", "timeout": "30s"},
        retry_config={"max_retries": 0},
    )


@contextmanager
def _as_os_errors(url: str) -> Iterator[None]:
    """Libraries' exceptions as `OSError`, which processes can pass on to one another; no message of AWS about keys gets into them."""
    try:
        yield
    except PermissionError as denied:
        code = _code(denied)
        if code in _OF_ONE_OBJECT:
            raise PermissionError(errno.EACCES, f"S3 denies access ({code})", url) from None
        raise OSError(errno.EKEYREJECTED, f"S3 refuses the credentials ({code})") from None
    except ClientError as failed:
        raise OSError(errno.EIO, f"S3 answers {failed.response.get('Error', {}).get('Code', 'an error')}") from failed
    except BotoCoreError as failed:
        raise OSError(errno.EIO, str(failed)) from failed
    except (HttpError, ResponseParserError) as failed:
        raise OSError(errno.EIO, f"the connection for {url} failed: {failed}") from failed


def _code(denied: OSError) -> str:
    """What S3 answered."""
    return str(getattr(denied.__cause__, "response", {}).get("Error", {}).get("Code", "403"))
