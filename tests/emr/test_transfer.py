"""Images to the bucket and results from it, against an S3 server process on loopback, and through a proxy that is S3 on a bad day."""

import hashlib
import os
import re
import signal
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result

import s3
from bootstrap.commands.data import backup, upload
from bootstrap.transfer import PART
from conftest import SAMPLE, WITHOUT_OVERRIDE

from .loopback import Proxy, served, wait_for

BUCKET = "fruits-of-the-tests"
ODD = "odd name #1 %20 é ?x=1&y;z+'\"=,🍎 .jpg"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with s3.moto_server(tmp_path_factory.mktemp("moto") / "log") as address:
        yield address


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Of boto3, empty. The commands find its server by the environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    found = boto3.resource("s3", endpoint_url=server).Bucket(BUCKET)
    found.create(CreateBucketConfiguration={"LocationConstraint": "eu-west-3"})
    yield found
    found.objects.delete()
    found.delete()


def run(command: Any, *arguments: str | Path) -> Result:
    return CliRunner().invoke(command, [str(one) for one in arguments])


def copied(command: Any, *arguments: str | Path) -> str:
    """Its last line."""
    ended = run(command, *arguments, "--bucket", BUCKET, "--yes")
    assert ended.exit_code == 0, ended.output
    return ended.stdout.strip().splitlines()[-1]


def contents(bucket: Any) -> dict[str, bytes]:
    return {one.key: one.get()["Body"].read() for one in bucket.objects.all()}


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def written(folder: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@contextmanager
def counted(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """What the proxy with its faults counts, while the commands speak through it."""
    with s3.faulty_proxy(server) as (address, counts), monkeypatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", address)
        yield counts


def test_the_images_keep_their_labels_and_names_and_all_else_is_told(bucket: Any, tmp_path: Path) -> None:
    images = {f"Apple 10/{ODD}": b"1", "Apple 10/b.JPEG": b"22", "at the root.jpg": b"", "a/b/c.jpg": b"4"}
    folder = written(tmp_path / "in", {**images, "notes.txt": b"-", "Apple 10/._b.jpg": b"-", "Apple 10/.DS_Store": b"-"})
    (folder / "linked").symlink_to(SAMPLE, target_is_directory=True)
    ended = run(upload, folder, "--bucket", BUCKET, "--yes")
    assert ended.exit_code == 0, ended.output
    assert contents(bucket) == {f"Test/{name}": data for name, data in images.items()}
    assert bucket.Object("Test/a/b/c.jpg").content_type == "image/jpeg"
    assert "no images: 2 left behind by file systems, 1 of other names" in ended.stdout
    assert f"not followed: {folder}/linked, a link to a folder" in ended.stdout
    assert "4 images copied, 0 were there, 0 failed" in ended.stdout


def test_the_cost_of_the_requests_is_shown_before_it_is_asked(bucket: Any, tmp_path: Path) -> None:
    folder = written(tmp_path, {f"{number}.jpg": b"1" for number in range(20)})
    ended = run(upload, folder, "--bucket", BUCKET)
    assert ended.exit_code == 2
    assert "20 PUT $0.0001" in ended.stdout  # 20 of 0.0053 dollars a thousand
    assert "There is no terminal to ask at" in ended.stderr
    assert not contents(bucket)


def test_what_is_there_is_not_sent_again_and_what_changed_is(
    bucket: Any, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {f"a/{number}.jpg": str(number).encode() for number in range(10)}
    folder = written(tmp_path, images)
    for name in list(images)[:6]:
        bucket.put_object(Key=f"Test/{name}", Body=images[name])
    bucket.put_object(Key="Test/a/0.jpg", Body=b"x")  # of the same size
    with counted(server, monkeypatch) as counts:
        assert copied(upload, folder).startswith("5 images copied, 5 were there, 0 failed")
        assert counts["PUT"] == 5
        assert copied(upload, folder).startswith("0 images copied, 10 were there, 0 failed")
        assert counts["PUT"] == 5
    assert contents(bucket) == {f"Test/{name}": data for name, data in images.items()}


def test_a_file_in_parts_is_known_again(bucket: Any, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = os.urandom(1024) * (2 * PART // 1024) + b"and a third part"
    folder = written(tmp_path / "in", {"large.jpg": large})
    with counted(server, monkeypatch) as counts:
        assert copied(upload, folder).startswith("1 images copied")
        assert counts["PUT"] == 3
        assert copied(upload, folder).startswith("0 images copied, 1 were there")
        assert counts["PUT"] == 3
    assert contents(bucket) == {"Test/large.jpg": large}
    assert copied(backup, tmp_path / "out", "--from", "Test").startswith("1 files copied")
    assert files(tmp_path / "out") == {"Test/large.jpg": large}


def test_both_ways_through_an_s3_that_throttles_cuts_and_does_not_answer(
    bucket: Any, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {f"{number}.jpg": os.urandom(1000) for number in range(100)}
    with counted(server, monkeypatch) as counts:
        assert copied(upload, written(tmp_path / "in", images)).startswith("100 images copied")
        assert counts["unanswered"]
        assert contents(bucket) == {f"Test/{name}": data for name, data in images.items()}
        assert copied(backup, tmp_path, "--from", "Test").startswith("100 files copied")
        assert counts["throttled"]
        assert counts["cut"]
    assert files(tmp_path / "Test") == images


class Kms(Proxy):
    """Answers as where KMS encrypts: the ETags are not the content's MD5, but another 32 digits."""

    ETAG = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")

    def do_GET(self) -> None:  # noqa: N802
        status, headers, content = self.asked()
        if headers.get("Content-Type", "").endswith("xml"):
            content = self.ETAG.sub(lambda found: found[0][::-1], content)
        headers = {name: value[::-1] if name.lower() == "etag" else value for name, value in headers.items()}
        self.answer(status, {**headers, "x-amz-server-side-encryption": "aws:kms"}, content)

    do_PUT = do_HEAD = do_GET  # noqa: N815


def test_where_kms_makes_etags_the_content_is_compared_by_its_sha_256(
    bucket: Any, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = written(tmp_path / "in", {"a.jpg": b"1", "b.jpg": b"2"})
    with served(type("Behind", (Kms,), {"behind": server})) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        assert copied(upload, folder).startswith("2 images copied")
        told = boto3.client("s3", endpoint_url=address).head_object(Bucket=BUCKET, Key="Test/a.jpg")["ETag"]
        assert told != f'"{hashlib.md5(b"1", usedforsecurity=False).hexdigest()}"'
        (folder / "b.jpg").write_bytes(b"3")
        assert copied(upload, folder).startswith("1 images copied, 1 were there")
        # What others wrote there has neither digest: it is taken for the same while it has the time that a backup gave it.
        bucket.put_object(Key="Results/c", Body=b"4")
        assert copied(backup, tmp_path / "out").startswith("1 files copied")
        assert copied(backup, tmp_path / "out").startswith("0 files copied, 1 were there")
        (tmp_path / "out" / "Results" / "c").write_bytes(b"5")
        assert copied(backup, tmp_path / "out").startswith("1 files copied, 0 were there")
    assert files(tmp_path / "out") == {"Results/c": b"4"}


def test_files_that_cannot_be_sent_are_named_and_the_others_are_sent(bucket: Any, tmp_path: Path) -> None:
    folder = written(tmp_path, {"good.jpg": b"1", "no right.jpg": b"2", "later.jpg": b"3"})
    (folder / "no right.jpg").chmod(0)
    (folder / "leads nowhere.jpg").symlink_to(tmp_path / "nowhere")
    (folder / "read error.jpg").symlink_to("/proc/self/mem")
    os.mkfifo(folder / "pipe.jpg")
    Path(os.fsdecode(bytes(folder) + b"/\xff.jpg")).write_bytes(b"4")
    long = "/".join(["x" * 200] * 6) + "/y.jpg"
    written(folder, {long: b"5"})
    ended = subprocess.run(
        [*WITHOUT_OVERRIDE, *command("upload"), folder, "--bucket", BUCKET, "--yes"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert contents(bucket) == {"Test/good.jpg": b"1", "Test/later.jpg": b"3"}
    assert "2 images copied, 0 were there, 6 failed" in ended.stdout
    assert sorted(line for line in ended.stderr.splitlines() if line.startswith("failed")) == [
        "failed: \\xff.jpg: bad-name",
        "failed: leads nowhere.jpg: not-found",
        "failed: no right.jpg: Permission denied",
        "failed: pipe.jpg: not-a-file",
        "failed: read error.jpg: Input/output error",
        f"failed: {long}: the name has more than the 1024 bytes that S3 takes",
    ]


def command(name: str) -> list[str]:
    return [sys.executable, "-m", "bootstrap", name]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing"], "there is no folder missing on this machine"),
        (["s3://other/Test"], "there is no folder s3://other/Test on this machine"),
        (["file"], "there is no folder file on this machine"),
        (["empty"], "matches *.jpg or *.jpeg (1 of other names)"),
        (["in", "--to", "Results/Test"], "--to 'Results/Test' is no folder for images"),
        (["in", "--to", "../Test"], "--to '../Test' is no folder for images"),
        (["in", "--to", "/"], "--to '/' is no folder for images"),
        (["in", "--bucket", "there-is-none"], "there is no bucket there-is-none"),
    ],
)
def test_an_upload_that_cannot_be_is_refused(
    arguments: list[str], said: str, bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, {"file": b"", "in/a.jpg": b"1", "empty/notes.txt": b""})
    monkeypatch.chdir(tmp_path)
    ended = run(upload, "--bucket", BUCKET, *arguments, "--yes")
    assert (ended.exit_code, said in ended.stderr) == (2, True), ended.output
    assert not contents(bucket)


def test_results_come_whole_private_and_under_their_names(bucket: Any, tmp_path: Path) -> None:
    results = {f"Results/features/{ODD}": b"1", "Results/report.json": b"2"}
    others = {"Test/a.jpg": b"3", "logs/j-1/steps/s-1/stderr.gz": b"4", "bundles/x/install.sh": b"5"}
    for key, data in {**results, **others, "Results/": b"", "Results/features_$folder$": b""}.items():
        bucket.put_object(Key=key, Body=data)
    out = tmp_path / "new" / "out"
    ended = run(backup, out, "--bucket", BUCKET, "--yes")
    assert ended.exit_code == 0, ended.output
    assert "left out: 2 folder markers" in ended.stdout
    assert "without a price, and in no sum: data transfer out of AWS" in ended.stdout
    assert files(out) == results
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.rglob("*") if path.is_file()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in [out, *out.rglob("*")] if path.is_dir()} == {0o700}
    bucket.Object("Results/report.json").delete()
    ended = run(backup, out, "--bucket", BUCKET, "--yes", "--all")
    assert "1 files copied, 1 were there, 0 failed" in ended.stdout
    assert "left out: 2 folder markers, 1 in bundles, 1 in logs" in ended.stdout
    assert files(out) == {**results, "Test/a.jpg": b"3"}  # what vanished stays


def test_no_key_leads_out_of_the_folder(bucket: Any, tmp_path: Path) -> None:
    bad = ["Results/../../outside", "Results//etc/passwd", "Results/a/./b", "Results/a/.."]
    for key in [*bad, "Results/good", "Results/good/below a file"]:
        bucket.put_object(Key=key, Body=b"1")
    out = tmp_path / "out"
    ended = run(backup, out, "--bucket", BUCKET, "--yes")
    assert ended.exit_code == 1
    for key in bad:
        assert f"failed: {key}: its name would lead out of the folder, or to no file" in ended.stderr
    assert len([line for line in ended.stderr.splitlines() if line.startswith("failed: Results/good")]) == 1  # one of the two is in its way
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_backup_that_was_killed_leaves_no_part_of_a_file_and_the_next_goes_on(bucket: Any, server: str, tmp_path: Path) -> None:
    results = {"Results/hangs": b"1" * 9000, **{f"Results/{number}": b"2" for number in range(5)}}
    for key, data in results.items():
        bucket.put_object(Key=key, Body=data)
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)):
        with s3.faulty_proxy(server, hung="hangs") as (address, counts):
            process = subprocess.Popen(
                [*command("backup"), tmp_path, "--bucket", BUCKET, "--yes"],
                env={**os.environ, "AWS_ENDPOINT_URL": address},
                stderr=subprocess.PIPE,
                text=True,
            )
            wait_for(
                lambda: counts["hung"] and sorted(name.partition("/")[0] for name in files(tmp_path)) == [".partial", *["Results"] * 5]
            )
            if number == signal.SIGINT:
                assert run(backup, tmp_path, "--bucket", BUCKET, "--yes").exit_code == 2  # while it runs
            process.send_signal(number)
            _, err = process.communicate(timeout=20)
        assert process.returncode == code
        assert not (tmp_path / "Results" / "hangs").exists()
    assert "interrupted: the same command goes on where this one stopped" in err
    assert copied(backup, tmp_path).startswith("1 files copied, 5 were there")
    assert files(tmp_path) == results


class Cut(Proxy):
    """Half of each object, and the end of the connection."""

    def do_GET(self) -> None:  # noqa: N802
        status, headers, content = self.asked()
        if "?" in self.path:
            self.answer(status, headers, content)
        else:
            self.answer(status, {**headers, "Content-Length": str(2 * len(content))}, content)
            self.close_connection = True

    do_HEAD = do_GET  # noqa: N815


def test_a_connection_that_always_breaks_leaves_nothing_and_says_so(
    bucket: Any, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put_object(Key="Results/a", Body=b"1")
    with served(type("Behind", (Cut,), {"behind": server})) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        ended = run(backup, tmp_path, "--bucket", BUCKET, "--yes")
    assert (ended.exit_code, "the connection broke within Results/a, again and again" in ended.stderr) == (1, True), ended.output
    assert not files(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["file"], "file is no folder on this machine"),
        (["out", "--from", "Nothing"], "nothing lies in s3://fruits-of-the-tests/Nothing"),
        (["out", "--from", "Results", "--all"], "--all and --from"),
        (["out", "--bucket", "there-is-none"], "there is no bucket there-is-none"),
    ],
)
def test_a_backup_that_cannot_be_is_refused(
    arguments: list[str], said: str, bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put_object(Key="Results/a", Body=b"1")
    written(tmp_path, {"file": b""})
    monkeypatch.chdir(tmp_path)
    ended = run(backup, "--bucket", BUCKET, *arguments, "--yes")
    assert (ended.exit_code, said in ended.stderr) == (2, True), ended.output
    assert not (tmp_path / "out").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Of half a megabyte, and of ten files and folders."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k,nr_inodes=10", "tmpfs", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


@pytest.mark.root("mounts a small disk")
def test_a_disk_that_is_too_small_is_refused_before_anything_is_fetched(bucket: Any, small_disk: Path) -> None:
    bucket.put_object(Key="Results/a", Body=bytes(2**20))
    ended = run(backup, small_disk / "out", "--bucket", BUCKET, "--yes")
    assert (ended.exit_code, "1,048,576 bytes are to be fetched" in ended.stderr) == (2, True), ended.output
    assert not list(small_disk.iterdir())


@pytest.mark.root("mounts a small disk")
def test_a_disk_that_fills_up_ends_it_and_what_was_whole_stays(bucket: Any, small_disk: Path) -> None:
    for number in range(20):
        bucket.put_object(Key=f"Results/{number}", Body=b"1")
    line = [*command("backup"), small_disk, "--bucket", BUCKET, "--yes"]
    ended = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (ended.returncode, "cannot be written: No space left on device" in ended.stderr) == (1, True), ended.stderr
    assert set(files(small_disk).values()) <= {b"1"}
