"""What the nodes install, put into the bucket once: a bundle's folder is named by its content."""

from collections.abc import Callable
from pathlib import Path

from bootstrap.aws import Account, code_of
from bootstrap.bundle import SUMS, Machine, make_bundle
from bootstrap.request import BUNDLES, Bundle
from bootstrap.settings import Settings
from bootstrap.transfer import in_parallel
from fruits.errors import RunFailed


def staged(account: Account, settings: Settings, bucket: str, folder: Path, say: Callable[[str], None]) -> Bundle:
    """Made in `folder` and sent, unless the bucket has it whole. Raises `RunFailed` where it cannot be made."""
    wheels = _machine(account, settings.core.type) if settings.wheels or settings.network.private else None
    sums = make_bundle(folder, wheels=wheels, tensorflow=settings.tensorflow)
    prefix = f"{BUNDLES}/{sums}"
    bundle = Bundle(f"s3://{bucket}/{prefix}", sums)
    if _has(account, bucket, f"{prefix}/{SUMS}"):
        say(f"what the nodes install is in the bucket: {bundle.url}")
        return bundle
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != SUMS]
    say(f"{len(files)} files that the nodes install, {sum(path.stat().st_size for path in files) / 1e6:.0f} MB, to {bundle.url}")

    def send(path: Path) -> None:
        account.s3.upload_file(str(path), bucket, f"{prefix}/{path.relative_to(folder)}")

    for path, fault in in_parallel(send, files):
        if fault:
            raise RunFailed(f"{path.relative_to(folder)} cannot be read: {fault.strerror or fault}", "run the same command again")
    send(folder / SUMS)  # last: where it is, the others are
    return bundle


def _machine(account: Account, kind: str) -> Machine:
    """What `uname -m` says on such an instance; the types of a cluster are of one architecture, which `preflight` sees to."""
    (described,) = account.ec2.describe_instance_types(InstanceTypes=[kind])["InstanceTypes"]  # type: ignore[list-item]
    return "aarch64" if "arm64" in described["ProcessorInfo"]["SupportedArchitectures"] else "x86_64"


def _has(account: Account, bucket: str, key: str) -> bool:
    from botocore.exceptions import ClientError

    try:
        account.s3.head_object(Bucket=bucket, Key=key)
    except ClientError as refused:
        if code_of(refused) not in ("404", "NoSuchKey"):
            raise
        return False
    return True
