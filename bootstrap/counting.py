"""How many images lie where a job is to read them, before it is paid for."""

from bootstrap.aws import DENIED, Account, code_of

MOST = 100_000  # a hundred answers of S3, ten seconds


def counted(account: Account, url: str) -> int | None:
    """Objects below an s3:// folder, up to `MOST`; 0 where there is no such bucket, None where this account may not look, and for other
    file systems."""
    from botocore.exceptions import ClientError

    if not url.startswith("s3://"):
        return None
    bucket, _, folder = url.removeprefix("s3://").partition("/")
    pages = account.s3.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=f"{folder}/" if folder else "", PaginationConfig={"MaxItems": MOST}
    )
    try:
        return sum(len(page.get("Contents", [])) for page in pages)
    except ClientError as refused:
        if code_of(refused) in DENIED:
            return None
        if code_of(refused) != "NoSuchBucket":
            raise
        return 0
