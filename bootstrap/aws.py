"""AWS as this package speaks to it: clients that try again, and errors in words that say what to do."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fruits.errors import BadArgument, FruitsError, RunFailed

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_emr import EMRClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_service_quotas import ServiceQuotasClient

ATTEMPTS = 8  # botocore's standard mode waits up to 20 s between two, with jitter: a throttled API is given two minutes
CONNECTIONS = 32  # of a client at a time: what is small is transferred as fast as requests go out, not as bytes do
SIGN_IN = "sign in (aws sso login, aws configure) or set AWS_PROFILE, and try again"


class Account:
    """The account and region that boto3's usual places (environment, ~/.aws, role) give credentials for; clients are made when used.

    Raises `BadArgument` for a region that AWS has not.
    """

    def __init__(self, region: str, beside: "Account | None" = None) -> None:
        """`beside`: the same account in another region, of whose session it is: botocore's descriptions of AWS are read once."""
        import boto3

        self.region = region
        self._session: boto3.Session = beside._session if beside else boto3.Session(region_name=region)
        known = {name for of in self._session.get_available_partitions() for name in self._session.get_available_regions("emr", of)}
        if region not in known:
            raise BadArgument(f"AWS has no region {region} with EMR", f"choose one of: {', '.join(sorted(known))}")

    def client(self, service: Any, attempts: int | None = None) -> Any:
        from botocore.config import Config

        retries: Any = {"mode": "standard", "total_max_attempts": attempts or ATTEMPTS}
        return self._session.client(service, region_name=self.region, config=Config(retries=retries, max_pool_connections=CONNECTIONS))

    @cached_property
    def id(self) -> str:
        """Twelve digits."""
        return str(self.client("sts").get_caller_identity()["Account"])

    @cached_property
    def emr(self) -> "EMRClient":
        client: EMRClient = self.client("emr")
        return client

    @cached_property
    def emr_once(self) -> "EMRClient":
        """For what makes something anew each time it is asked for, which EMR knows by no token: see `taken_once`."""
        client: EMRClient = self.client("emr", attempts=1)
        return client

    @cached_property
    def ec2(self) -> "EC2Client":
        client: EC2Client = self.client("ec2")
        return client

    @cached_property
    def s3(self) -> "S3Client":
        client: S3Client = self.client("s3")
        return client

    @cached_property
    def iam(self) -> "IAMClient":
        client: IAMClient = self.client("iam")
        return client

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        client: CloudFormationClient = self.client("cloudformation")
        return client

    @cached_property
    def quotas(self) -> "ServiceQuotasClient":
        client: ServiceQuotasClient = self.client("service-quotas")
        return client


EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired")
UNKNOWN = ("InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthFailure")
DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403")
THROTTLED = ("Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException", "SlowDown")


def code_of(error: Exception) -> str:
    """AWS's own name of an error, or nothing where it did not come from there."""
    response: dict[str, Any] = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


def in_words(error: Exception) -> FruitsError:
    """What is raised in place of an error of botocore's."""
    from botocore import exceptions as of

    if isinstance(error, of.NoCredentialsError | of.PartialCredentialsError | of.ProfileNotFound):
        return BadArgument(f"there are no credentials for AWS: {error}", SIGN_IN)
    if isinstance(error, of.TokenRetrievalError | of.SSOTokenLoadError | of.UnauthorizedSSOTokenError):
        return BadArgument("the sign-in at AWS has expired", SIGN_IN)
    if isinstance(error, of.ClientError):
        code, called = code_of(error), error.operation_name
        said = error.response.get("Error", {}).get("Message", "")
        if code in EXPIRED:
            return BadArgument(f"the credentials have expired ({called}: {code})", SIGN_IN)
        if code in UNKNOWN:
            return BadArgument(f"AWS does not know these credentials ({called}: {code})", SIGN_IN)
        if code in DENIED:
            return BadArgument(
                f"{called}: access denied: {said}", "ask for that right; bootstrap/README.md has a policy with all that is used"
            )
        if code in THROTTLED:
            return RunFailed(
                f"{called}: AWS takes no more requests ({code}) after {ATTEMPTS} attempts", "wait a minute; the same command goes on"
            )
        return RunFailed(f"{called}: {code}: {said}", "mend that; the same command goes on where it stopped")
    if isinstance(error, of.EndpointConnectionError | of.ConnectionError | of.HTTPClientError):
        return RunFailed(f"AWS cannot be reached: {error}", "check the region and the network; the same command goes on")
    return RunFailed(f"AWS: {error}", "mend that; the same command goes on where it stopped")


def taken_once(
    ask: Callable[[], str], look: Callable[[], str | None], every: float, passes: Callable[[Exception], bool] = lambda _: False
) -> str:
    """What AWS answers to a request that makes something anew each time it comes. It is sent again where AWS did not take it (throttled,
    or by a reason that `passes`), and, where the answer was lost, only if `look` does not find what it made."""
    from botocore.exceptions import BotoCoreError, ClientError

    for left in reversed(range(ATTEMPTS)):
        try:
            return ask()
        except (BotoCoreError, ClientError) as failed:
            lost = _lost(failed)
            if not (lost or code_of(failed) in THROTTLED or passes(failed)):
                raise
            time.sleep(every)
            if lost and (made := look()):
                return made
            if not left:
                raise
    raise AssertionError("the last attempt returns or raises")


def _lost(failed: Exception) -> bool:
    """Whether AWS may have done what it was asked: there was no answer, or one of a fault of its own."""
    from botocore import exceptions as of

    if isinstance(failed, of.ConnectionError | of.HTTPClientError):
        return True
    response: dict[str, Any] = getattr(failed, "response", {})
    return bool(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500)


def is_unseen(failed: FruitsError) -> bool:
    """Whether AWS could not be looked at: nobody is signed in, it is not allowed, or there is no network."""
    from botocore import exceptions as of

    cause = failed.__cause__
    if isinstance(cause, of.ClientError):
        return code_of(cause) in (*EXPIRED, *UNKNOWN, *DENIED)
    return isinstance(cause, of.BotoCoreError)


@contextmanager
def translated() -> Iterator[None]:
    """Raises `FruitsError` for what boto3 raises inside."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise in_words(error) from error
