"""Images from and results to a real S3 protocol server on loopback, on both backends."""

import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import s3fs
from typed import Type

import s3
from conftest import SAMPLE, cli, expected_features
from fruits.job import Job
from fruits.listing import list_images
from fruits.storage import Folder

LABELS = ("Apple 10", "Tomato 1")
ODD = "odd name #1 %20 é ?x=1&y;z+'\"=,🍎 "


def test_from_s3_to_s3(s3_typed: Type, backend: str, s3_server: str, s3_environment: dict[str, str], tmp_path: Path) -> None:
    fs = s3.filesystem(s3_server)
    bucket = f"fruits-{backend}"
    fs.mkdir(bucket)
    photos = [photo for label in LABELS for photo in sorted((SAMPLE / label).glob("*.jpg"))]
    for photo in photos:
        fs.pipe(f"{bucket}/Test/{photo.parent.name}/{ODD}{photo.name}", photo.read_bytes())
    for marker in ("Test/Apple 10/", "Test/Apple 10_$folder$"):
        fs.pipe(f"{bucket}/{marker}", b"")
    arguments = ("--backend", backend, "--input", f"s3a://{bucket}/Test/", "--output", f"s3://{bucket}/Results")
    arguments += ("--components", "3", "--pca", "moments")
    ended = cli(*arguments, cwd=tmp_path, **s3_environment)
    assert ended.returncode == 0, ended.stderr
    tables = [
        pq.read_table(f"{bucket}/{name}", filesystem=fs, partitioning=None) for name in sorted(_below(fs, bucket, "Results/features"))
    ]
    rows = sorted((row for table in tables for row in table.to_pylist()), key=lambda row: row["path"])
    expected = [f"s3://{bucket}/Test/{photo.parent.name}/{ODD}{photo.name}" for photo in photos]
    assert [row["path"] for row in rows] == expected
    assert [row["label"] for row in rows] == [photo.parent.name for photo in photos]
    assert np.array_equal(np.array([row["features"] for row in rows], np.float32), expected_features([str(photo) for photo in photos]))
    names = {name.rpartition("/")[2] for name in fs.find(bucket)}
    assert {"results.csv", "rejected.parquet", "projection.npz", "report.html", "report.json"} <= names
    validated = s3_typed("validate", f"s3://{bucket}/Results", cwd=tmp_path, **s3_environment)
    assert (validated.returncode, validated.stdout) == (0, f"s3://{bucket}/Results: valid\n")
    assert "nothing to do" in s3_typed(*arguments, cwd=tmp_path, **s3_environment).stdout
    assert fs.info(f"{bucket}/Results/report.html")["ContentType"] == "text/html; charset=utf-8"  # shown by a browser, not saved
    told = fs.cat(f"{bucket}/Results/report.json").decode() + ended.stdout + ended.stderr
    assert not [value for value in s3.KEYS.values() if value in told]


def _below(fs: s3fs.S3FileSystem, bucket: str, folder: str) -> list[str]:
    return [path[len(bucket) + 1 :] for path in fs.find(f"{bucket}/{folder}")]


def test_a_bucket_that_does_not_exist(s3_typed: Type, backend: str, s3_environment: dict[str, str], tmp_path: Path) -> None:
    ended = s3_typed("--backend", backend, "--input", "s3://no-such-bucket/Test", cwd=tmp_path, **s3_environment)
    assert ended.returncode == 2
    assert "there is no folder s3://no-such-bucket/Test: the bucket no-such-bucket does not exist" in ended.stderr
    assert not (tmp_path / "results").exists()


def test_no_server_and_no_credentials(s3_environment: dict[str, str], tmp_path: Path) -> None:
    for wrong in ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, {"AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}):
        for place in (("--input", "s3://bucket/Test"), ("--output", "s3://bucket/Results")):
            ended = cli(*place, cwd=tmp_path, **{**s3_environment, **wrong})
            assert ended.returncode == 2
            assert f"{place[1]} cannot be reached" in ended.stderr
            assert "Traceback" not in ended.stderr
    assert not (tmp_path / "results").exists()


def test_keys_that_are_refused(tmp_path: Path) -> None:
    """By a server that checks them. Neither they nor the right ones get into anything that is shown or written."""
    with s3.moto_server(tmp_path / "log") as address:
        fs = s3.filesystem(address)
        fs.mkdir("guarded")
        for photo in sorted((SAMPLE / LABELS[0]).glob("*.jpg"))[:3]:
            fs.pipe(f"guarded/Test/{photo.name}", photo.read_bytes())
        right = s3.allowed(address, "s3:*")
        wrong = [
            {**right, "aws_secret_access_key": "another-secret"},
            {**right, "aws_access_key_id": "AKIDTHATNOBODYHAS"},
        ]
        arguments = ("--input", "s3://guarded/Test", "--output", "s3://guarded/Results", "--features-only")
        told = ""
        for keys in wrong:
            ended = cli(*arguments, cwd=tmp_path, **s3.environment(address, tmp_path, keys))
            assert ended.returncode == 2
            assert "s3://guarded/" in ended.stderr
            assert "AWS" in ended.stderr or "aws" in ended.stderr
            assert "Traceback" not in ended.stderr
            told += ended.stdout + ended.stderr
        ended = cli(*arguments, cwd=tmp_path, **s3.environment(address, tmp_path, right))
        assert ended.returncode == 0, ended.stderr
        told += ended.stdout + ended.stderr
        fs = s3.filesystem(address, right)
        contents = b"".join(fs.cat(path) for path in fs.find("guarded/Results"))
        secrets = {value for keys in (right, *wrong) for value in keys.values()}
        assert not [value for value in secrets if value in told or value.encode() in contents]


def test_rights_to_one_object_and_keys_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To list is allowed, to read is not: a right to one object, and no image's fault where none can be read. Neither are refused keys."""
    with s3.moto_server(tmp_path / "log") as address:
        fs = s3.filesystem(address)
        fs.mkdir("guarded")
        fs.pipe("guarded/Test/a.jpg", b"")
        keys = s3.allowed(address, "s3:ListBucket")
        environment = s3.environment(address, tmp_path, keys)
        ended = cli("--input", "s3://guarded/Test", "--features-only", cwd=tmp_path, **environment)
        assert ended.returncode == 1
        assert "no file of the input can be read: S3 denies access (AccessDenied)" in ended.stderr
        assert "ask for the right to it" in ended.stderr
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        s3.environment(address, tmp_path, {**keys, "aws_secret_access_key": "another-secret"})
        s3fs.S3FileSystem.clear_instance_cache()
        with pytest.raises(OSError, match=r"S3 refuses the credentials \(SignatureDoesNotMatch\)") as refused:
            Folder("s3://guarded/Test").read("a.jpg")
        assert not isinstance(refused.value, PermissionError)
        s3fs.S3FileSystem.clear_instance_cache()


def test_more_objects_than_fit_one_answer(s3_server: str, s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a prefix, and prefixes themselves; and keys that look like folders."""
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()  # of other environments
    fs = s3.filesystem(s3_server)
    fs.mkdir("many")
    keys = [f"Test/one/{number}.jpg" for number in range(1_003)]
    keys += [f"Test/folder {number}/x.jpg" for number in range(40)] + [
        "Test/root.jpg",
        "Test/one//x.jpg",
        "Test//y.jpg",
        "Test/a/b/c/d.jpg",
    ]
    others = ["Testing/no.jpg", "Test", "Test/", "Test/one/", "Test/one_$folder$"]
    fs.pipe({f"many/{key}": b"x" for key in keys + others if not key.endswith("/")})
    for key in ("Test/", "Test/one/"):
        fs.call_s3("put_object", Bucket="many", Key=key, Body=b"")
    listing = list_images(Job(input="s3://many/Test"))
    assert listing.files["key"].to_pylist() == sorted(key.removeprefix("Test/") for key in keys)
    assert listing.ignored == {"folder markers": 3}
    wide = [f"Wide/{number}/x.jpg" for number in range(1_101)]
    fs.pipe({f"many/{key}": b"x" for key in wide})
    assert len(list_images(Job(input="s3://many/Wide"))) == len(wide)


def test_profile_and_endpoint_of_the_environment(s3_server: str, s3_environment: dict[str, str], tmp_path: Path) -> None:
    fs = s3.filesystem(s3_server)
    fs.mkdir("profiled")
    fs.pipe("profiled/Test/a.jpg", b"x")
    config = tmp_path / "config"
    config.write_text("[profile tester]\nregion = eu-west-3\naws_access_key_id = AKIDOFTHEPROFILE\naws_secret_access_key = x\n")
    del s3_environment["AWS_ENDPOINT_URL"]
    s3_environment |= {"AWS_ENDPOINT_URL_S3": s3_server, "AWS_PROFILE": "tester", "AWS_CONFIG_FILE": str(config)}
    arguments = ("--input", "s3://profiled/Test", "--features-only", "--dry-run", "--json")
    ended = cli(*arguments, cwd=tmp_path, **s3_environment)
    assert ended.returncode == 0, ended.stderr
    ended = cli(*arguments, cwd=tmp_path, **{**s3_environment, "AWS_PROFILE": "nobody"})
    assert ended.returncode == 2
    assert "s3://profiled/Test cannot be reached: The config profile (nobody) could not be found" in ended.stderr


def test_the_role_of_a_profile(backend: str, tmp_path: Path) -> None:
    """The profile's own keys may do nothing but take the role, as on a machine of an account with roles."""
    with s3.moto_server(tmp_path / "log") as address:
        fs = s3.filesystem(address)
        fs.mkdir("roles")
        photos = sorted((SAMPLE / LABELS[0]).glob("*.jpg"))
        for photo in photos:
            fs.pipe(f"roles/Test/{photo.name}", photo.read_bytes())
        arn = s3.role(address, "s3:*")
        environment = s3.environment(address, tmp_path, s3.allowed(address, "sts:AssumeRole"))
        (tmp_path / "config").write_text(f"[profile reader]\nrole_arn = {arn}\nsource_profile = default\nregion = us-east-1\n")
        environment["AWS_CONFIG_FILE"] = str(tmp_path / "config")
        arguments = ("--backend", backend, "--input", "s3://roles/Test", "--output", "s3://roles/Results", "--features-only")
        without = cli(*arguments, cwd=tmp_path, **environment)
        assert without.returncode == 2
        assert "access to the bucket roles is denied" in without.stderr
        ended = cli(*arguments, cwd=tmp_path, **{**environment, "AWS_PROFILE": "reader"})
        assert ended.returncode == 0, ended.stderr
        assert f"images {len(photos)} found, {len(photos)} featurized" in re.sub(" +", " ", ended.stdout)
