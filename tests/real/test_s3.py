"""Images from and results to a real S3 protocol server on loopback, on both backends."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import s3fs
from conftest import SAMPLE, cli, expected_features

LABELS = ("Apple 10", "Tomato 1")
KEYS = {"aws_access_key_id": "AKIDOFTHETESTS", "aws_secret_access_key": "secret-of-the-tests"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("moto") / "log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("w") as file, subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT) as process:
        try:
            patience = time.monotonic() + 60
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    break
                except OSError:
                    assert process.poll() is None, log.read_text()
                    assert time.monotonic() < patience
                    time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture
def environment(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """No call can leave the machine: the endpoint is given, and every other address goes to a proxy that is not there."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    credentials = tmp_path / "credentials"
    credentials.write_text("[default]\n" + "".join(f"{key} = {value}\n" for key, value in KEYS.items()))
    return {
        "AWS_ENDPOINT_URL": server,
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "127.0.0.1",
    }


def test_from_s3_to_s3(backend: str, server: str, environment: dict[str, str], tmp_path: Path) -> None:
    fs = s3fs.S3FileSystem(key=KEYS["aws_access_key_id"], secret=KEYS["aws_secret_access_key"], endpoint_url=server)
    bucket = f"fruits-{backend}"
    fs.mkdir(bucket)
    photos = [photo for label in LABELS for photo in sorted((SAMPLE / label).glob("*.jpg"))]
    for photo in photos:
        fs.pipe(f"{bucket}/Test/{photo.parent.name}/odd name #1 %20 é {photo.name}", photo.read_bytes())
    for marker in ("Test/Apple 10/", "Test/Apple 10_$folder$"):
        fs.pipe(f"{bucket}/{marker}", b"")
    arguments = ("--backend", backend, "--input", f"s3a://{bucket}/Test/", "--output", f"s3://{bucket}/Results", "--components", "3")
    ended = cli(*arguments, cwd=tmp_path, **environment)
    assert ended.returncode == 0, ended.stderr
    fs.invalidate_cache()
    import pyarrow.parquet as pq

    tables = [
        pq.read_table(f"{bucket}/{name}", filesystem=fs, partitioning=None) for name in sorted(_below(fs, bucket, "Results/features"))
    ]
    rows = sorted((row for table in tables for row in table.to_pylist()), key=lambda row: row["path"])
    expected = [f"s3://{bucket}/Test/{photo.parent.name}/odd name #1 %20 é {photo.name}" for photo in photos]
    assert [row["path"] for row in rows] == expected
    assert [row["label"] for row in rows] == [photo.parent.name for photo in photos]
    assert np.array_equal(np.array([row["features"] for row in rows], np.float32), expected_features([str(photo) for photo in photos]))
    assert {"results.csv", "rejected.parquet", "projection.npz", "report.json"} <= {name.rpartition("/")[2] for name in fs.find(bucket)}
    validated = cli("validate", f"s3://{bucket}/Results", cwd=tmp_path, **environment)
    assert (validated.returncode, validated.stdout) == (0, f"s3://{bucket}/Results: valid\n")
    assert "nothing to do" in cli(*arguments, cwd=tmp_path, **environment).stdout
    told = fs.cat(f"{bucket}/Results/report.json").decode() + ended.stdout + ended.stderr
    assert not [value for value in KEYS.values() if value in told]


def _below(fs: s3fs.S3FileSystem, bucket: str, folder: str) -> list[str]:
    return [path[len(bucket) + 1 :] for path in fs.find(f"{bucket}/{folder}")]


def test_a_bucket_that_does_not_exist(backend: str, environment: dict[str, str], tmp_path: Path) -> None:
    ended = cli("--backend", backend, "--input", "s3://no-such-bucket/Test", cwd=tmp_path, **environment)
    assert ended.returncode == 2
    assert "there is no folder s3://no-such-bucket/Test" in ended.stderr
    assert not (tmp_path / "results").exists()


def test_no_server_and_no_credentials(backend: str, environment: dict[str, str], tmp_path: Path) -> None:
    for wrong in ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, {"AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}):
        for place in (("--input", "s3://bucket/Test"), ("--output", "s3://bucket/Results")):
            ended = cli("--backend", backend, *place, cwd=tmp_path, **{**environment, **wrong})
            assert ended.returncode == 2
            assert f"{place[1]} cannot be reached" in ended.stderr
            assert "Traceback" not in ended.stderr
    assert not (tmp_path / "results").exists()
