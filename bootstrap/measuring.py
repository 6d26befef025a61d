"""The benchmarks on a cluster: their code is brought there, because nodes have only what a job needs, and their results back."""

import hashlib
import io
import json
import shlex
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.product import Failed, run
from bootstrap import cost
from bootstrap.arguments import check, given
from bootstrap.aws import Account
from bootstrap.cluster import Cluster
from bootstrap.request import BUNDLES, PYTHON
from fruits.errors import BadArgument, RunFailed

PACKAGE = cost.MEASURED.parent
CODE = (".py", ".tsv")  # of the package; the rest is for the page, which is made here
FOLDER = "benchmarks"  # of the bucket; the nodes may write there
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same content gives the same archive
_ADVICE = "`python -m benchmarks --help` has its options; all after -- goes there"
# What `benchmark` sets itself, or what is of this machine; and what is asked of the page, by the name of the parameter.
_SET = ("cluster", "environment", "scratch", "output", "no_page", "folder", "peers")
_ASKED = ("volume", "deadline", "budget", "region", "spot", "core_ratio", "prices")


def check_options(arguments: Sequence[str], cluster: Cluster) -> None:
    """Raises `BadArgument` for what `python -m benchmarks` refuses, what is not for a cluster, and more workers than it has room for."""
    from benchmarks.__main__ import SLEEPERS, WORKERS, main
    from benchmarks.projection import INSTANCES

    ctx, rest = check("python -m benchmarks", main, arguments, _ADVICE)
    if rest:
        raise BadArgument(f"python -m benchmarks {rest[0]} measures nothing on a cluster", "run it here")
    typed = given(ctx)
    for name in (*_SET, *_ASKED):
        if name in typed:
            option = next(parameter.opts[0] for parameter in main.params if parameter.name == name)
            later = "ask it of the page: python -m benchmarks report RESULTS..."
            raise BadArgument(f"{option} has no effect on a cluster's nodes", later if name in _ASKED else "leave it out")
    sleep = ctx.params["core"] == "sleep"
    workers = ctx.params["workers"] or (SLEEPERS if sleep else WORKERS)
    # Each session has an application master beside its workers. Those that sleep are opened one at a time, the others all at once.
    needed = max(workers) + 1 if sleep else len(ctx.params["backends"]) * sum(count + 1 for count in workers)
    nodes = [group for group in cluster.groups if group.role != "primary"]
    if {group.type for group in nodes} <= set(INSTANCES):
        room = sum(INSTANCES[group.type].cores * group.count for group in nodes)
        if needed > room:
            raise BadArgument(f"{needed} cores are needed at a time, and {cluster.id} has {room}", "give fewer --workers")


@dataclass(frozen=True)
class Code:
    """`url` of the archive in the bucket, and its SHA-256."""

    url: str
    sha256: str


def archive() -> bytes:
    """A zip of the benchmarks' code and prices, and of which commit they are. The same checkout gives the same bytes."""
    from benchmarks.machine import COMMIT, commit

    content = {f"{PACKAGE.name}/{path.relative_to(PACKAGE)}": path.read_bytes() for path in PACKAGE.rglob("*") if path.suffix in CODE}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in sorted({**content, COMMIT: f"{commit()}\n".encode()}.items()):
            file.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def staged(account: Account, bucket: str) -> Code:
    """The archive, in the bucket."""
    packed = archive()
    sha256 = hashlib.sha256(packed).hexdigest()
    key = f"{BUNDLES}/benchmarks-{sha256[:16]}.zip"
    account.s3.put_object(Bucket=bucket, Key=key, Body=packed)
    return Code(f"s3://{bucket}/{key}", sha256)


def command(code: Code, bucket: str, images: str | None, results: str, arguments: Sequence[str]) -> str:
    """Lines of Bash for the primary node: measures on YARN, and brings the result files into a folder of the bucket. `images`: a folder of
    it, or None for the bundled sample."""
    options = ["--cluster", "yarn", "--scratch", f"s3://{bucket}/{FOLDER}/scratch", "--output", "results", "--no-page"]
    photos = []
    if images:
        name = images.rpartition("/")[2]
        options += ["--images", name]
        photos = [f"aws s3 cp --no-progress --recursive {shlex.quote(f's3://{bucket}/{images}')} {shlex.quote(name)} > copied"]
    return "\n".join(
        (
            "set -e",
            'folder=$(mktemp -d); trap \'rm -rf "$folder"\' EXIT; cd "$folder"',
            f"aws s3 cp --no-progress {shlex.quote(code.url)} code.zip",
            f"echo '{code.sha256}  code.zip' | sha256sum --check --quiet",
            f"{PYTHON} -m zipfile -e code.zip .",
            *photos,
            shlex.join([PYTHON, "-m", "benchmarks", *options, *arguments]),
            f"aws s3 cp --no-progress --recursive results {shlex.quote(f's3://{bucket}/{results}')}",
        )
    )


def fetch(account: Account, bucket: str, results: str, folder: Path) -> list[Path]:
    """The result files, into a new or empty folder. Raises `RunFailed` where there are none."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for page in account.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=results):
        for there in page.get("Contents", []):
            found.append(folder / there["Key"].removeprefix(results))
            account.s3.download_file(bucket, there["Key"], str(found[-1]))
    if not found:
        raise RunFailed(f"there are no results in s3://{bucket}/{results}", "see what the step said: `logs`")
    return found


def joined(found: Sequence[Path]) -> list[Path]:
    """These and, beside them, those of this machine that one page takes: the newest study, and what else is in its folder and not here."""
    names = {path.name for path in found}
    images = {json.loads(path.read_text()).get("plan", {}).get("images") for path in found if path.name == "study.json"}
    for study in reversed(cost.studies()):
        if not images or json.loads(study.read_text())["plan"]["images"] in images:
            return [*found, *(path for path in sorted(study.parent.glob("*.json")) if path == study or path.name not in names)]
    return [*found]


def write_page(results: Sequence[Path], to: Path) -> None:
    """Raises `RunFailed`."""
    try:
        run([sys.executable, "-m", "benchmarks", "report", *(path.absolute() for path in results), "--output", to.absolute()])
    except Failed as failed:
        raise RunFailed(
            f"the page of the results could not be made: {failed}", "mend that, and make it: python -m benchmarks report"
        ) from failed
