"""What the nodes install, put into the bucket once: a bundle's folder is named by its content."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bootstrap.aws import Account, code_of
from bootstrap.bundle import SUMS, make
from bootstrap.request import BUNDLES, Bundle
from bootstrap.settings import Settings

AT_A_TIME = 8  # files that are sent


def staged(account: Account, settings: Settings, bucket: str, architecture: str, folder: Path, say: Callable[[str], None]) -> Bundle:
    """Made in `folder` and sent, unless the bucket has it whole. `architecture` of the nodes, as EMR names it."""
    made = make(folder, wheels=_machine(architecture) if settings.wheels or settings.network.private else None, tensorflow=settings.tensorflow)
    prefix = f"{BUNDLES}/{made}"
    bundle = Bundle(f"s3://{bucket}/{prefix}", made)
    if _has(account, bucket, f"{prefix}/{SUMS}"):
        say(f"what the nodes install is in the bucket already: {bundle.url}")
        return bundle
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != SUMS]
    say(f"{len(files)} files that the nodes install, {sum(path.stat().st_size for path in files) / 1e6:.0f} MB, to {bundle.url}")

    def send(path: Path) -> None:
        account.s3.upload_file(str(path), bucket, f"{prefix}/{path.relative_to(folder)}")

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(send, files))
    send(folder / SUMS)  # last: where it is, the others are
    return bundle
