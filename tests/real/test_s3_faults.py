"""Whole runs through what S3 does: it throttles, cuts answers short, hangs, and takes keys back. Nothing is lost or doubled."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pyarrow.parquet as pq
import pytest

import s3
from conftest import SAMPLE, cli, rejected, report, table, vectors
from fruits import Job
from fruits import run as smoothly
from leases import holder, let_go, one_of_many, stop_elsewhere, told


def test_a_run_through_faults(backend: str, inprocess: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "Test"
    with s3.moto_server(tmp_path / "log") as address, s3.faulty_proxy(address) as (proxy, faults):
        fs = s3.filesystem(address)
        fs.mkdir("rough")
        for photo in [photo for label in sorted(SAMPLE.iterdir()) for photo in sorted(label.glob("*.jpg"))[:14]][:80]:
            name = f"{photo.parent.name}/{photo.name}"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(photo.read_bytes())
            fs.pipe(f"rough/Test/{name}", photo.read_bytes())
        ended = cli(
            *("--backend", backend, "--workers", "2", "--chunk-size", "10", "--components", "5", "--pca", "moments"),
            *("--input", "s3://rough/Test", "--output", "s3://rough/Results"),
            cwd=tmp_path,
            **s3.environment(proxy, tmp_path, s3.KEYS),
        )
        assert ended.returncode == 0, ended.stderr
        assert min(faults["throttled"], faults["cut"], faults["unanswered"]) > 0, faults
        fetched = tmp_path / "fetched"
        fs.get("rough/Results/", str(fetched), recursive=True)
        told = json.loads(fs.cat("rough/Results/report.json"))
    smoothly(Job(input=str(folder), output=str(tmp_path / "results"), components=5, pca="moments"), session=inprocess)
    rough, smooth = table(fetched, "features"), table(tmp_path / "results", "features")
    assert rough["path"].to_list() == [path.replace(str(folder), "s3://rough/Test") for path in smooth["path"]]
    assert np.array_equal(vectors(fetched, "features"), vectors(tmp_path / "results", "features"))
    assert np.abs(vectors(fetched, "pca") - vectors(tmp_path / "results", "pca")).max() < 1e-4
    assert pq.read_table(fetched / "rejected.parquet").num_rows == 0
    assert told["images"]["found"] == report(tmp_path / "results")["images"]["found"] == len(rough) == 80


def test_an_object_that_hangs(backend: str, tmp_path: Path) -> None:
    photos = sorted(SAMPLE.glob("*/*.jpg"))[:12]
    with s3.moto_server(tmp_path / "log") as address, s3.faulty_proxy(address, hung="hangs.jpg") as (proxy, faults):
        fs = s3.filesystem(address)
        fs.mkdir("hanging")
        for number, photo in enumerate(photos):
            fs.pipe(f"hanging/Test/{'hangs' if number == 2 else number}.jpg", photo.read_bytes())
        ended = cli(
            *("--backend", backend, "--workers", "1", "--chunk-size", "6", "--chunk-timeout", "8", "--features-only"),
            *("--input", "s3://hanging/Test", "--output", tmp_path / "r"),
            cwd=tmp_path,
            **s3.environment(proxy, tmp_path, s3.KEYS),
        )
    assert ended.returncode == 0, ended.stderr
    assert faults["hung"] > 0, faults
    assert rejected(tmp_path / "r")[["path", "reason", "detail"]].to_numpy().tolist() == [
        ["s3://hanging/Test/hangs.jpg", "timeout", "not read within 8 s"]
    ]
    assert len(table(tmp_path / "r", "features")) == 11


def test_credentials_that_expire_in_mid_run(backend: str, tmp_path: Path) -> None:
    photos = sorted(SAMPLE.glob("*/*.jpg"))[:48]
    with s3.moto_server(tmp_path / "log") as address:
        fs = s3.filesystem(address)
        fs.mkdir("expiring")
        for photo in photos:
            fs.pipe(f"expiring/Test/{photo.parent.name}/{photo.name}", photo.read_bytes())
        old = s3.allowed(address, "s3:*", "iam:*")
        iam = boto3.client("iam", region_name="us-east-1", endpoint_url=address, **old)
        made = iam.create_access_key(UserName="tester")["AccessKey"]
        new = {"aws_access_key_id": made["AccessKeyId"], "aws_secret_access_key": made["SecretAccessKey"]}
        arguments = ["--backend", backend, "--chunk-size", "4", "--features-only"]
        arguments += ["--input", "s3://expiring/Test", "--output", "s3://expiring/Results"]
        environment = {**os.environ, **s3.environment(address, tmp_path, old)}
        command = [sys.executable, "-m", "fruits", *arguments]
        with subprocess.Popen(
            command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            fs = s3.filesystem(address, new)
            patience = time.monotonic() + 150
            while not fs.glob("expiring/Results/_fruits/markers/*"):
                assert process.poll() is None
                assert time.monotonic() < patience
                time.sleep(0.3)
            iam.delete_access_key(UserName="tester", AccessKeyId=old["aws_access_key_id"])
            said, _ = process.communicate(timeout=120)
        committed = len(fs.glob("expiring/Results/_fruits/markers/*"))
        print(f"{backend}: {committed} of 12 chunks before the key was taken back: {said}")
        assert process.returncode == 1
        assert "S3 refuses the credentials (InvalidAccessKeyId)" in said
        assert "renew the credentials, those of the nodes too; the same command goes on where this run stopped" in said
        assert "Traceback" not in said
        assert 0 < committed < 12
        ended = cli(*arguments, "--json", cwd=tmp_path, **s3.environment(address, tmp_path, new))
        assert ended.returncode == 0, ended.stderr
        counts = json.loads(ended.stdout)["images"]
        assert (counts["found"], counts["featurized"]) == (len(photos), len(photos))
        assert counts["reused"] >= 4 * committed - 4


def test_of_many_that_try_at_once_one_gets_the_lease(tmp_path: Path) -> None:
    """By a conditional put: first where there is none, then where a dead process left one, and one on another machine."""
    with s3.moto_server(tmp_path / "log") as address:
        files = s3.filesystem(address)
        files.mkdir("leases")
        url, environment = "s3://leases/Results", s3.environment(address, tmp_path, s3.KEYS)
        one_of_many(url, **environment)
        with holder(url, **environment) as killed:
            assert told(killed) == "held\n"
            killed.kill()
            killed.wait()
        one_of_many(url, **environment)
        with holder(url, **environment) as there:
            assert told(there) == "held\n"
            stop_elsewhere(there, files, "leases/Results")
            with holder(url, **{**environment, "LOGNAME": "bob"}) as here:
                assert "waiting up to 2 s for a sign of life" in told(here)
                assert told(here) == "note: no sign of life in 2 s: going on in its place\n"
                assert told(here) == "held\n"
                os.killpg(there.pid, signal.SIGCONT)
                assert let_go(there).startswith(f"RunFailed {url} was taken over by a run of bob")
                assert let_go(here) == "released\n"
