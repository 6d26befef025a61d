"""A local folder of images to the bucket. What is there with the same content is left as it is: it goes on where it stopped."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from mimetypes import guess_type
from pathlib import Path

from benchmarks.costs import Cost
from benchmarks.prices import Prices
from bootstrap import progress
from bootstrap.aws import Account
from bootstrap.request import BUNDLES, LOGS, RESULTS
from bootstrap.transfer import MAX_KEY_BYTES, compared, config, cost_of, in_parallel, sent_in, stored
from fruits import storage
from fruits.errors import BadArgument


@dataclass(frozen=True)
class Photo:
    """`name`: below the folder. `size`: bytes."""

    name: str
    size: int


@dataclass(frozen=True)
class Upload:
    """From `folder` to the folder `to` of the bucket: what is to be sent, what is `there` already, what is no image (by why), links to
    folders, which are not followed, and by name what cannot be sent, with the reason."""

    folder: Path
    bucket: str
    to: str
    photos: list[Photo]
    there: list[Photo]
    ignored: dict[str, int]
    linked_folders: list[str]
    failed: dict[str, str]

    def path(self, photo: Photo) -> Path:
        return self.folder / photo.name

    def key(self, photo: Photo) -> str:
        return f"{self.to}/{photo.name}"

    def cost(self, region: str, prices: Prices) -> Cost:
        """Of the requests, and of a month of keeping what is sent. What comes into AWS is free (https://aws.amazon.com/s3/pricing/)."""
        puts = sum(sent_in(photo.size) + 2 if sent_in(photo.size) else 1 for photo in self.photos)
        stored_gb = size(self.photos) / 1e9
        return cost_of(
            region, prices, {f"{puts:,} PUT": ("s3 put", puts / 1000), "storage for a month": ("s3 standard storage", stored_gb)}
        )


def size(photos: Sequence[Photo]) -> int:
    return sum(photo.size for photo in photos)


def prepared(account: Account, bucket: str, folder: str, to: str, patterns: Sequence[str]) -> Upload:
    """Looks at both sides and sends nothing. Raises `BadArgument` for a folder without images, a bucket that is not there, a bad `to`."""
    from fruits.job import Job
    from fruits.listing import list_images, rows

    to = _folder_of_bucket(to)
    url = storage.normalized(folder)
    if not storage.is_local(url) or not Path(url).is_dir():
        raise BadArgument(f"there is no folder {folder} on this machine", "give the folder that holds the images' folders")
    try:
        # A job has an output, which must not lie in its input; nothing is written there.
        listing = list_images(Job(input=url, output=f"s3://{bucket}/{RESULTS}", patterns=tuple(patterns)))
    except BadArgument as refused:
        raise BadArgument(refused.message, refused.advice.replace("--input", "FOLDER")) from refused
    objects = {one.key: one for one in stored(account, bucket, f"{to}/")}
    upload = Upload(Path(url), bucket, to, [], [], listing.ignored, listing.linked_folders, {})
    alike = []
    for name, length, _, fault in rows(listing.files):
        photo = Photo(name, length)
        there = objects.get(upload.key(photo))
        if fault:
            upload.failed[name] = fault
        elif len(upload.key(photo).encode()) > MAX_KEY_BYTES:
            upload.failed[name] = f"the name has more than the {MAX_KEY_BYTES} bytes that S3 takes"
        elif there and there.size == length:
            alike.append((there, upload.path(photo)))
        else:
            upload.photos.append(photo)
    for one, verdict in compared(account, bucket, alike):
        photo = Photo(one.key.removeprefix(f"{to}/"), one.size)
        if isinstance(verdict, OSError):
            upload.failed[photo.name] = verdict.strerror or str(verdict)
        else:
            (upload.there if verdict else upload.photos).append(photo)
    return upload


def _folder_of_bucket(to: str) -> str:
    parts = to.strip("/").split("/")
    if {"", ".", ".."} & set(parts) or parts[0] in (RESULTS, LOGS, BUNDLES):
        raise BadArgument(
            f"--to {to!r} is no folder for images",
            f"give one such as Test; {RESULTS}, {LOGS} and {BUNDLES} of the bucket hold other things",
        )
    return "/".join(parts)


def send(account: Account, upload: Upload) -> None:
    """Sends it. A file that cannot be read joins `failed`, and the others are sent; raises what S3 refuses."""
    with progress.shown("upload", len(upload.photos), size(upload.photos)) as advance:

        def put(photo: Photo) -> None:
            kind = guess_type(photo.name)[0]
            extra = {"ChecksumAlgorithm": "SHA256", **({"ContentType": kind} if kind else {})}
            with upload.path(photo).open("rb") as file:
                # In memory: a fault of the disk while S3 listens would be taken for one of the network.
                body = file if sent_in(photo.size) else BytesIO(file.read())
                account.s3.upload_fileobj(body, upload.bucket, upload.key(photo), ExtraArgs=extra, Callback=advance.bytes, Config=config())

        for photo, fault in in_parallel(put, upload.photos):
            if fault:
                upload.failed[photo.name] = fault.strerror or str(fault)
            advance.file()
