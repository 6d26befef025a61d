"""Fetches the jars of Hadoop with Maven, once: python tests/real/hadoop/jars.py FOLDER"""

import subprocess
import sys
from pathlib import Path

POM = Path(__file__).with_name("pom.xml")
COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"


def fetch_jars(folder: Path) -> None:
    """Fills `folder` with the jars of `pom.xml`; nothing is done where that very pom's are there.

    Raises FileNotFoundError without Maven, CalledProcessError where it fails.
    """
    complete = folder / "pom.xml"  # written last
    if complete.is_file() and complete.read_bytes() == POM.read_bytes():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for jar in folder.glob("*.jar"):  # of another version
        jar.unlink()
    subprocess.run(["mvn", "-q", "-B", "-ntp", "-f", POM, COPY, "-DincludeScope=runtime", f"-DoutputDirectory={folder}"], check=True)
    complete.write_bytes(POM.read_bytes())


if __name__ == "__main__":
    fetch_jars(Path(sys.argv[1]).resolve())  # relative ones Maven would take as the pom's
