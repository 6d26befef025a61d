"""The Python of a YARN cluster's nodes: what `--environment` says, for Dask's workers and Spark's executors alike."""

import os
import sys
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from fruits.errors import BadArgument

FOLDER = "environment"  # what YARN calls the unpacked archive in a container's working folder
SUFFIX = ".tar.gz"
FORMS = (
    "venv:///path/of/a/virtual/environment or python:///path/of/bin/python, the same on every node, "
    f"or an archive made by `python -m fruits pack`: file{SUFFIX} or hdfs:///path/file{SUFFIX}"
)


@dataclass(frozen=True)
class Environment:
    """`python`: its command inside a container. `archive`: what YARN unpacks there as `environment`: an absolute local path or an
    hdfs:// URL; None where the nodes have their own. `description`: for messages."""

    python: str
    archive: str | None
    description: str

    @classmethod
    def parse(cls, text: str | None) -> Self:
        """Reads the forms of dask-yarn's `yarn.environment`, but for conda's. None: this process's Python, at the same path on the nodes.

        Raises `BadArgument` for anything else, and for a local archive that is missing or damaged at its beginning. Paths on the nodes, and
        archives on HDFS, are not looked at: YARN says where they are missing.
        """
        if text is None:
            text = f"venv://{sys.prefix}" if sys.prefix != sys.base_prefix else f"python://{sys.executable}"
        scheme, separator, path = text.partition("://")
        if not separator:
            return cls._unpacked(_local_archive(text), text)
        match scheme:
            case "venv":
                folder = _on_nodes(text, path)
                return cls(os.path.join(folder, "bin", "python"), None, f"the virtual environment {folder} of the nodes")
            case "python":
                interpreter = _on_nodes(text, path)
                return cls(interpreter, None, f"the interpreter {interpreter} of the nodes")
            case "file":
                return cls._unpacked(_local_archive(_on_nodes(text, path)), text)
            case "hdfs":
                return cls._unpacked(_hdfs_archive(text), text)
            case "conda":
                raise BadArgument(
                    f"--environment {text}: conda environments are not activated on nodes",
                    "python:///path/of/the/environment/bin/python runs one that needs no activation",
                )
        raise BadArgument(f"--environment {text}: {scheme}:// is no form of an environment", f"give {FORMS}")

    @classmethod
    def _unpacked(cls, archive: str, text: str) -> Self:
        return cls(f"{FOLDER}/bin/python", archive, f"the archive {text}")


def _on_nodes(text: str, path: str) -> str:
    """An absolute path: what is relative would be looked for in each container's own folder."""
    if not path.startswith("/") or not path.strip("/"):
        raise BadArgument(f"--environment {text}: not the absolute path of something", "write three slashes: venv:///path, python:///path")
    return os.path.normpath(path)


def _local_archive(text: str) -> str:
    if not text.endswith(SUFFIX):
        raise BadArgument(f"--environment {text}: neither a URL nor a file that ends in {SUFFIX}", f"give {FORMS}")
    path = Path(text).absolute()
    try:
        with tarfile.open(path, "r:gz") as archive:
            archive.next()
    except OSError as failed:  # gzip.BadGzipFile too
        raise BadArgument(f"--environment {text} cannot be read: {failed.strerror or failed}", "check the path of the archive") from failed
    except (tarfile.TarError, EOFError, zlib.error) as failed:
        raise BadArgument(
            f"--environment {text} is no tar file compressed by gzip: {failed}", "make it with `python -m fruits pack`"
        ) from failed
    return str(path)


def _hdfs_archive(text: str) -> str:
    url = urlsplit(text)
    if not url.path.startswith("/") or not url.path.endswith(SUFFIX) or url.query or url.fragment:
        raise BadArgument(
            f"--environment {text}: not an archive on HDFS", f"write hdfs://host:port/path/file{SUFFIX} or hdfs:///path/file{SUFFIX}"
        )
    return text
