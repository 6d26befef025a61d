"""As a library, with a session of the caller's own, which stays open."""

from pathlib import Path
from typing import Any

import pytest

from conftest import Engine, table
from fruits import Job, run
from fruits.errors import BadArgument


@pytest.mark.short
def test_the_session_stays_open(engine: Engine, images: Path, tmp_path: Path) -> None:
    done = engine.run(input=images, output=tmp_path / "r", components=3, pca="moments")
    assert done.backend["name"] == engine.name
    assert len(table(tmp_path / "r", "pca")) == 14
    if engine.name == "spark":
        assert engine.session.range(3).count() == 3
    if engine.name == "dask":
        assert engine.session.submit(sum, (1, 2)).result() == 3


def test_what_a_session_decides_cannot_be_set(engine: Engine, images: Path, tmp_path: Path) -> None:
    other = "dask" if engine.name == "spark" else "spark"
    for job in ({"cluster": "local"}, {"workers": 2}, {"options": {"a": "b"}}, {"backend": other}):
        with pytest.raises(BadArgument):
            engine.run(input=images, output=tmp_path / "r", **job)
    assert not (tmp_path / "r").exists()


@pytest.mark.local("needs no engine")
def test_what_is_no_session(images: Path, tmp_path: Path) -> None:
    with pytest.raises(BadArgument, match="str is no session"):
        run(Job(input=str(images), output=str(tmp_path / "r")), session="spark")


@pytest.mark.local("refused before anything is read")
def test_an_asynchronous_client_is_refused(dask: Any, images: Path, tmp_path: Path) -> None:
    import asyncio

    from distributed import Client

    async def refused() -> None:
        async with Client(dask.scheduler.address, asynchronous=True) as client:
            with pytest.raises(BadArgument, match="asynchronous"):
                run(Job(input=str(images), output=str(tmp_path / "r")), session=client)

    asyncio.run(refused())


@pytest.mark.local("a driver of its own, which opens a session of its own")
def test_without_a_session_one_is_opened_and_closed(backend: str, images: Path, tmp_path: Path) -> None:
    """In a process of its own: this one has a SparkContext already."""
    import subprocess
    import sys

    script = f"""
from fruits import Job, run
if __name__ == "__main__":
    for number in range(2):
        output = {str(tmp_path)!r} + f"/{{number}}"
        report = run(Job(input={str(images)!r}, output=output, backend={backend!r}, features_only=True, workers=1))
        assert report.backend["workers"] == 1
    if {backend!r} == "spark":
        from pyspark import SparkContext
        assert SparkContext._active_spark_context is None
    else:
        from distributed import default_client
        try:
            default_client()
        except ValueError:
            pass
        else:
            raise AssertionError("a client is left")
"""
    program = tmp_path / "program.py"
    program.write_text(script)
    ended = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert len(table(tmp_path / "0", "features")) == len(table(tmp_path / "1", "features")) == 14


@pytest.mark.local("a driver of its own")
def test_a_script_without_a_guard_is_refused_at_once(images: Path, tmp_path: Path) -> None:
    """Each of Dask's workers would import it, and so run it again; Spark's do not, and neither does `python -c`."""
    import subprocess
    import sys

    script = f"""
from fruits import Job, run
run(Job(input={str(images)!r}, output={str(tmp_path / "r")!r}, backend="dask", features_only=True, workers=1))
"""
    program = tmp_path / "program.py"
    program.write_text(script)
    ended = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert f'BadArgument: {program} has no `if __name__ == "__main__":`' in ended.stderr
    assert not (tmp_path / "r").exists()
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert len(table(tmp_path / "r", "features")) == 14


@pytest.mark.local("a cluster of its own, in this process")
def test_threads_share_one_model(images: Path, tmp_path: Path) -> None:
    """A borrowed worker with several threads gives the same features: one inference at a time."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=4, host="127.0.0.1", dashboard_address="127.0.0.1:0", silence_logs=50) as cluster,
        Client(cluster) as client,
    ):
        run(Job(input=str(images), output=str(tmp_path / "four"), features_only=True, chunk_size=2), session=client)
    from inprocess import Here

    run(Job(input=str(images), output=str(tmp_path / "one"), features_only=True), session=Here())
    four, one = table(tmp_path / "four", "features"), table(tmp_path / "one", "features")
    assert [row.tobytes() for row in four["features"]] == [row.tobytes() for row in one["features"]]
