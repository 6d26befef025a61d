"""`benchmark`: the step that measures, run for real by Bash against moto's S3, and what becomes of its results."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import click.testing
import pytest
from click.testing import CliRunner
from moto.server import ThreadedMotoServer

from bootstrap.commands.jobs import benchmark

from .world import BUCKET, REGION, World, bucket, cluster, images

ROOT = Path(__file__).parents[2]
FEW = ("--sizes", "4,8", "--workers", "1", "--repeats", "1", "--backends", "dask", "--pca", "moments")
# Of a node, on this machine: `fruits` and `backends` as they are here, nothing else of the checkout, no matplotlib; and there is no YARN.
NODE = """#!/bin/bash
[[ "$*" == *"-m benchmarks"* ]] && "{python}" -c "import benchmarks; print(benchmarks.__file__)" >> "{seen}"
arguments=(); for argument in "$@"; do [[ $argument == s3://* || $argument == --scratch ]] || arguments+=("${{argument/#yarn/local}}"); done
PYTHONPATH="{site}" exec "{python}" "${{arguments[@]}}"
"""


@pytest.fixture
def world(aws: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:  # noqa: ARG001
    monkeypatch.chdir(tmp_path)
    bucket()
    cluster()
    return World(monkeypatch)


@pytest.fixture
def s3(world: World) -> Iterator[str]:  # noqa: ARG001
    """The address of a server with the same buckets as the client in this process."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A file with the paths from which the node's Python took `benchmarks`."""
    site, python, seen = tmp_path / "site", tmp_path / "python", tmp_path / "seen"
    site.mkdir()
    for name in ("fruits", "backends"):
        (site / name).symlink_to(ROOT / name)
    (site / "matplotlib.py").write_text("raise ImportError('nodes have no matplotlib')\n")
    python.write_text(NODE.format(python=sys.executable, seen=seen, site=site))
    python.chmod(0o755)
    monkeypatch.setattr("bootstrap.measuring.PYTHON", str(python))
    return seen


def run(*arguments: str) -> click.testing.Result:
    return CliRunner().invoke(benchmark, ["--yes", "--poll", "0", *arguments])


def on_the_primary(world: World, s3: str) -> None:
    """The step's own command; EMR writes what it said, and how it ended."""
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    environment = {**os.environ, "PATH": path, "AWS_ENDPOINT_URL": s3, "AWS_DEFAULT_REGION": REGION}
    ended = subprocess.run(world.steps[-1].args, capture_output=True, text=True, check=False, env=environment)
    world.step("FAILED" if ended.returncode else "COMPLETED")()
    world.log(ended.stdout, ended.stderr)()


def test_the_study_is_measured_with_what_a_node_has_and_stands_on_one_page_with_that_of_this_machine(
    world: World, s3: str, node: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    here = _of_this_machine(tmp_path, monkeypatch)
    world.on("describe_step", lambda: on_the_primary(world, s3), None)
    done = run("--output", str(tmp_path / "emr"), "--", *FEW)
    assert done.exit_code == 0, done.output
    assert node.read_text().strip().endswith("/benchmarks/__init__.py")
    assert not node.read_text().startswith(str(ROOT))
    study = json.loads((tmp_path / "emr" / "study.json").read_text())
    assert [(run["backend"], run["images"]) for run in sorted(study["runs"], key=lambda run: run["images"])] == [
        ("dask", size) for size in (4, 8)
    ]
    assert study["machine"]["commit"] == head
    page = (tmp_path / "emr" / "report.html").read_text()
    assert str(tmp_path / "emr" / "study.json") in page
    assert str(here) in page
    kept = [one["Key"] for one in boto3.client("s3", region_name=REGION).list_objects_v2(Bucket=BUCKET, Prefix="benchmarks/")["Contents"]]
    assert [key.rpartition("/")[2] for key in kept] == ["study.json"]


def _of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of the same images: the committed one, said to be of the sample. What is quick, or of a cluster, is not this machine's."""
    (committed,) = (ROOT / "benchmarks" / "results").glob("2026-11-26/study.json")
    content = json.loads(committed.read_text())
    content["plan"]["images"] = "copies of 335 photos of the bundled sample"
    for name in ("2026-11-20", "2026-11-27-quick", "2026-11-28-emr"):
        (tmp_path / "results" / name).mkdir(parents=True)
        (tmp_path / "results" / name / "study.json").write_text(json.dumps(content))
    monkeypatch.setattr("bootstrap.cost.MEASURED", tmp_path / "results")
    return tmp_path / "results" / "2026-11-20" / "study.json"


def test_images_of_the_bucket_are_measured_with(world: World, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the benchmarks' own command, which here shows what it was given, and leaves what is no result."""
    images("Test", 2)
    python = tmp_path / "python"
    shows = "find Test -type f | sort; echo \"$@\"; mkdir results; echo '{}' > results/study.json"
    python.write_text(f'#!/bin/bash\nif [[ $2 == zipfile ]]; then exec "{sys.executable}" "$@"; fi\n{shows}\n')
    python.chmod(0o755)
    monkeypatch.setattr("bootstrap.measuring.PYTHON", str(python))
    world.on("describe_step", lambda: on_the_primary(world, s3), None)
    done = run("--images", "Test/", "--output", str(tmp_path / "emr"), "--", "--workers", "1")
    assert "\nTest/Apple/0.jpg\nTest/Apple/1.jpg\n" in done.stdout
    assert f"--scratch s3://{BUCKET}/benchmarks/scratch --output results --no-page --images Test --workers 1\n" in done.stdout
    assert done.exit_code == 1
    assert "is no result of python -m benchmarks" in done.stderr
    assert (tmp_path / "emr" / "study.json").read_text() == "{}\n"
    assert "there is nothing in" in run("--images", "Tset", "--output", str(tmp_path / "b")).stderr


def test_code_that_was_tampered_with_does_not_run(world: World, s3: str, node: Path, tmp_path: Path) -> None:
    def happens() -> None:
        client = boto3.client("s3", region_name=REGION)
        (code,) = client.list_objects_v2(Bucket=BUCKET, Prefix="bundles/")["Contents"]
        client.put_object(Bucket=BUCKET, Key=code["Key"], Body=b"something else")
        on_the_primary(world, s3)

    world.on("describe_step", happens, None)
    done = run("--output", str(tmp_path / "emr"), "--", *FEW)
    assert done.exit_code == 1
    assert "code.zip: FAILED" in done.output
    assert not node.exists()
    assert not (tmp_path / "emr").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cluster", "local"], "--cluster has no effect"),
        (["--scratch", "s3://b/x"], "--scratch has no effect"),
        (["--images", "."], "--images has no effect"),
        (["--peers"], "--peers has no effect"),
        (["--volume", "1e6"], "python -m benchmarks report"),
        (["speed"], "python -m benchmarks speed measures nothing"),
        (["--sizs", "1"], "No such option '--sizs'"),
        # Of 12 cores: two backends with 4 and 8 workers at a time, and an application master each.
        (["--workers", "4,8"], "28 cores are needed at a time, and"),
        (["--core", "sleep", "--workers", "12"], "13 cores are needed at a time, and"),
        (["--backends", "duck"], "duck"),
    ],
)
def test_what_cannot_be_measured_there_is_refused_before_anything_starts(world: World, arguments: list[str], said: str) -> None:
    done = run("--", *arguments)
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert not world.steps


def test_results_that_are_there_are_not_written_over(world: World, tmp_path: Path) -> None:
    (tmp_path / "emr").mkdir()
    (tmp_path / "emr" / "study.json").write_text("{}")
    done = run("--output", str(tmp_path / "emr"), "--", *FEW)
    assert done.exit_code == 2
    assert "holds results already" in done.stderr
    assert not world.steps


def test_an_output_that_cannot_be_a_folder_is_refused(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("--output", str(tmp_path / "file" / "emr"), "--", *FEW)
    assert done.exit_code == 2
    assert "file is not a folder" in done.stderr
    assert not world.steps
