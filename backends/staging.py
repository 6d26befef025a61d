"""Files that YARN's nodes fetch from HDFS: uploaded once, by the first run that needs them, and named by their content."""

import hashlib
import tarfile
from pathlib import Path

from fruits import hadoop
from fruits.storage import Folder

FOLDER = ".fruits"  # in the user's own folder on HDFS
PIECE = 2**22


def on_hdfs() -> bool:
    """Whether the cluster's default file system is one on which this can be done."""
    return (hadoop.default_filesystem() or "").startswith("hdfs://")


def of_nodes(archive: str) -> str:
    """What to tell YARN of an archive: the URL of a copy on HDFS for a file of this machine, where there is HDFS."""
    return archive if archive.startswith("hdfs://") or not on_hdfs() else _staged(Path(archive))


def _staged(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        folder, name = _folder(), f"{digest[:16]}-{path.name}"
        if name not in folder.names(""):
            file.seek(0)
            with folder.create(name) as copy:
                while piece := file.read(PIECE):
                    copy.write(piece)
    return folder.path(name)


def staged_jars(jars: Path, version: str) -> str:
    """The URL of an archive on HDFS with all of Spark's jars."""
    folder, name = _folder(), f"spark-{version}-jars.tar"
    if name not in folder.names(""):
        # Not compressed, as jars are already. Not a zip file either: YARN unpacks none that was written without seeking.
        with folder.create(name) as copy, tarfile.open(fileobj=copy, mode="w|") as archive:  # type: ignore[call-overload]
            for jar in sorted(jars.glob("*.jar")):
                archive.add(jar, jar.name)
    return folder.path(name)


def _folder() -> Folder:
    return Folder(f"hdfs:///user/{hadoop.user()}/{FOLDER}")
