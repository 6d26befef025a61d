"""Whose a bucket is, and where."""

from bootstrap.aws import Account, code_of
from fruits.errors import BadArgument


def region_of_bucket(account: Account, bucket: str) -> str | None:
    """Of one of the account's; None where there is none of that name. Raises `BadArgument` where another account has it."""
    from botocore.exceptions import ClientError

    try:
        there = account.s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account.id)
    except ClientError as refused:
        if code_of(refused) in ("404", "NoSuchBucket"):
            return None
        if code_of(refused) in ("403", "AccessDenied"):
            raise BadArgument(
                f"the bucket {bucket} belongs to another account, or you may not read it", "give another --bucket"
            ) from refused
        raise
    return there.get("BucketRegion") or there["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region", account.region)
