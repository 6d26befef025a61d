"""S3 Inventory as a manifest, and objects that change, on a real S3 protocol server on loopback."""

import csv
import gzip
import io
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pyarrow.parquet as pq
import pytest
import s3fs
from typed import Type

import s3
from conftest import SAMPLE, cli
from fruits.job import Job
from fruits.listing import list_images
from fruits.manifest import find_images

PHOTOS = sorted((SAMPLE / "Apple 10").glob("*.jpg")) + sorted((SAMPLE / "Tomato 1").glob("*.jpg"))
SCHEMA = ["Bucket", "Key", "VersionId", "IsLatest", "IsDeleteMarker", "Size", "LastModifiedDate", "ETag", "StorageClass"]
DATE, VERSION = "2026-11-22T07:00:00.000Z", "null"


def fill(fs: s3fs.S3FileSystem, bucket: str) -> dict[str, dict[str, Any]]:
    """Ten photos under odd keys; what S3 says of each."""
    fs.mkdir(bucket)
    names = ["a b", "a+b", "a%20b", "semi;colon", "é 🍎", 'quote"', "comma,", "=1+1", "-rf", "&amp;"]
    keys = [f"Test/{photo.parent.name}/{name} {photo.name}" for name, photo in zip(names, PHOTOS, strict=True)]
    for key, photo in zip(keys, PHOTOS, strict=True):
        fs.pipe(f"{bucket}/{key}", photo.read_bytes())
    found = fs.find(f"{bucket}/Test", detail=True)
    assert {path.removeprefix(f"{bucket}/") for path in found} == set(keys)
    return {key: found[f"{bucket}/{key}"] for key in keys}


def as_csv(rows: list[list[Any]]) -> str:
    """As S3 writes it: every value in quotation marks, no header."""
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return text.getvalue()


def row(bucket: str, key: str, known: dict[str, Any]) -> list[Any]:
    encode = quote if len(key) % 2 else quote_plus  # a space as %20 or as +
    return [bucket, encode(key), VERSION, "true", "false", known["Size"], DATE, known["ETag"].strip('"'), "STANDARD"]


def paths(fs: s3fs.S3FileSystem, bucket: str, part: str) -> list[str]:
    names = [name for name in fs.find(f"{bucket}/{part}") if name.endswith(".parquet")]
    return sorted(path for name in names for path in pq.read_table(name, filesystem=fs, partitioning=None)["path"].to_pylist())


def test_an_inventory_is_a_listing(s3_typed: Type, backend: str, s3_server: str, s3_environment: dict[str, str], tmp_path: Path) -> None:
    fs, bucket = s3.filesystem(s3_server), f"inventory-{backend}"
    known = fill(fs, bucket)
    urls = sorted(f"s3://{bucket}/{key}" for key in known)
    job = ("--backend", backend, "--input", f"s3://{bucket}/Test", "--output", f"s3://{bucket}/Results", "--features-only", "--json")
    listed = cli(*job, "--pattern", "*.jpg", "--pattern", "*.jpeg", cwd=tmp_path, **s3_environment)
    assert listed.returncode == 0, listed.stderr
    assert paths(fs, bucket, "Results/features") == urls

    # Of all versions, in two gzipped parts, under a manifest.json.
    rows = [row(bucket, key, of) for key, of in known.items()]
    old = [bucket, quote("Test/Apple 10/old.jpg"), "v1", "false", "false", 17, DATE, "0" * 32, "STANDARD"]
    deleted = [bucket, quote("Test/Apple 10/deleted.jpg"), "v2", "true", "true", "", DATE, "", ""]
    folder = [bucket, quote("Test/Apple 10/"), VERSION, "true", "false", 0, DATE, "0" * 32, "STANDARD"]
    inventory = f"inventory/{bucket}/all"
    parts = {f"{inventory}/data/one.csv.gz": [*rows[:6], old], f"{inventory}/data/two.csv.gz": [deleted, folder, *rows[5:]]}
    for name, content in parts.items():
        fs.pipe(f"{bucket}/{name}", gzip.compress(as_csv(content).encode()))
    manifest = {
        "sourceBucket": bucket,
        "destinationBucket": f"arn:aws:s3:::{bucket}",
        "version": "2016-11-30",
        "creationTimestamp": "1795330800000",
        "fileFormat": "CSV",
        "fileSchema": ", ".join(SCHEMA),
        "files": [{"key": name, "size": 1, "MD5checksum": "0"} for name in parts],
    }
    fs.pipe(f"{bucket}/{inventory}/manifest.json", json.dumps(manifest).encode())
    by_json = ("--manifest", f"s3://{bucket}/{inventory}/manifest.json")
    planned = json.loads(s3_typed(*job, *by_json, "--dry-run", cwd=tmp_path, **s3_environment).stdout)
    # The identities are those of the listing: nothing is left to do.
    assert (planned["images"], planned["reused"], planned["nothing_to_do"]) == (10, 10, True)
    assert planned["ignored"] == {"old versions": 1, "deletion markers": 1, "folder markers": 1, "named again in the manifest": 1}

    # One part alone, without its manifest.json: what the columns are shows in the first line.
    alone = tmp_path / "part.csv"
    for drop in ((), (2, 3, 4), (2, 3, 4, 5, 6, 7, 8)):  # without versions; Bucket and Key alone: sizes and ETags are asked of S3
        alone.write_text(as_csv([[value for at, value in enumerate(values) if at not in drop] for values in rows]))
        planned = json.loads(s3_typed(*job, "--manifest", alone, "--dry-run", cwd=tmp_path, **s3_environment).stdout)
        assert (planned["images"], planned["nothing_to_do"]) == (10, True), drop
    alone.write_text("one column\n")
    assert "has no columns Bucket and Key" in s3_typed(*job, "--manifest", alone, cwd=tmp_path, **s3_environment).stderr
    alone.write_text(as_csv([rows[0], [bucket, "Other/x.jpg", *rows[0][2:]]]))
    refused = s3_typed(*job, "--manifest", alone, cwd=tmp_path, **s3_environment)
    assert refused.returncode == 2
    assert re.search(rf"{alone}, line 2: .* is not below --input s3://{bucket}/Test", refused.stderr)
    alone.write_text(as_csv([rows[0], rows[1][:-1]]))
    assert f"{alone}, line 2: not as the lines before it" in s3_typed(*job, "--manifest", alone, cwd=tmp_path, **s3_environment).stderr


def test_objects_that_change_vanish_or_were_never_there(
    s3_typed: Type, backend: str, s3_server: str, s3_environment: dict[str, str], tmp_path: Path
) -> None:
    fs, bucket = s3.filesystem(s3_server), f"changes-{backend}"
    keys = list(fill(fs, bucket))
    job = ("--backend", backend, "--input", f"s3://{bucket}/Test", "--output", f"s3://{bucket}/Results", "--features-only", "--json")
    assert s3_typed(*job, cwd=tmp_path, **s3_environment).returncode == 0
    fs.rm(f"{bucket}/{keys[0]}")
    fs.pipe(f"{bucket}/{keys[1]}", PHOTOS[9].read_bytes())
    changed = json.loads(s3_typed(*job, cwd=tmp_path, **s3_environment).stdout)
    print(f"{backend}: {changed['images']}")
    assert (changed["images"]["reused"], changed["images"]["to_do"], changed["images"]["vanished"]) == (8, {"changed": 1}, 1)
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join([f"s3a://{bucket}/{keys[2]}", keys[4].removeprefix("Test/"), "Apple 10/gone.jpg"]) + "\n", encoding="utf-8")
    named = json.loads(s3_typed(*job, "--manifest", listed, cwd=tmp_path, **s3_environment).stdout)
    assert (named["images"]["found"], named["images"]["reused"], named["images"]["vanished"]) == (3, 2, 7)
    assert named["rejected_by_reason"] == {"not-found": 1}
    assert paths(fs, bucket, "Results/features") == sorted(f"s3://{bucket}/{keys[number]}" for number in (2, 4))
    shown = json.loads(s3_typed("rejected", f"s3://{bucket}/Results", "--json", cwd=tmp_path, **s3_environment).stdout)
    assert [(row["path"], row["reason"]) for row in shown] == [(f"s3://{bucket}/Test/Apple 10/gone.jpg", "not-found")]


def test_a_manifest_is_looked_up_as_a_listing_sees_it(
    s3_server: str, s3_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Many objects of one folder by listing it, few by asking for each."""
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()  # of other environments
    fs = s3.filesystem(s3_server)
    fs.mkdir("looked-up")
    keys = [f"many/{number:02d} é+.jpg" for number in range(40)] + [f"one//{number}.jpg" for number in range(20)]
    keys += ["few/1.jpg", "few/2.jpg", "at the root.jpg"]
    for key in keys:
        fs.pipe(f"looked-up/{key}", key.encode())
    (tmp_path / "list").write_text("\n".join([*keys, "many/gone.jpg", "few/gone.jpg"]), encoding="utf-8")
    named = find_images(Job(input="s3://looked-up", manifest=str(tmp_path / "list")))
    rows = [tuple(row.values()) for row in named.files.to_pylist()]
    missing = [row for row in rows if row[3]]
    assert missing == [("few/gone.jpg", 0, "", "not-found"), ("many/gone.jpg", 0, "", "not-found")]
    listed = [tuple(row.values()) for row in list_images(Job(input="s3://looked-up")).files.to_pylist()]
    assert [row for row in rows if not row[3]] == listed
    assert len(listed) == 63
