"""What cannot be made is told before anything is: wrong values of each kind, in an account of moto's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend

from bootstrap.aws import Account
from bootstrap.preflight import Check, preflight
from bootstrap.request import Resources
from bootstrap.settings import read_settings
from fruits.errors import BadArgument

from . import stacks
from .accounts import QUOTAS, completed

REGION = "eu-west-3"
BUCKET = "fruits-123456789012-eu-west-3"
SPARK_8: dict[str, Any] = {"release": "emr-spark-8.1.0"}


@pytest.fixture(autouse=True)
def account(aws: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Account:  # noqa: ARG001
    completed(monkeypatch)
    account = Account(REGION)
    stacks.completed(monkeypatch, tmp_path, account)
    return account


def checked(made: Resources | None = None, **given: Any) -> dict[str, Check]:
    settings = read_settings(None, None, given)
    return {check.name: check for check in preflight(Account(settings.region), settings, settings.bucket or BUCKET, made)}


def failed(checks: dict[str, Check]) -> dict[str, Check]:
    return {name: check for name, check in checks.items() if check.advice is not None}


def test_an_account_in_which_all_is_well() -> None:
    checks = checked()
    assert not failed(checks)
    assert checks["credentials"].found.startswith("account 123456789012")
    assert checks["quota of on-demand vCPUs"].found == "8 needed, 0 in use, of 32"
    assert checks["quota of Spot vCPUs"].found == "8 needed, 0 in use, of 32"
    assert checks["task type"].found == "2 m5.xlarge: 4 vCPUs, 16 GB, X86_64"
    assert "the default one" in checks["VPC"].found


@pytest.mark.parametrize("release", ["emr-spark-8.0.0", "emr-spark-8.1.0"])
def test_spark_4_in_an_account_in_which_all_is_well(release: str) -> None:
    checks = checked(release=release)
    assert not failed(checks)
    assert (checks["release"].found, checks["applications"].found) == (release, "Spark")


def test_a_release_that_there_is_not_is_answered_with_those_of_its_family() -> None:
    of_7 = failed(checked(release="emr-7.99.0"))["release"].advice or ""
    assert of_7.endswith("such as emr-7.14.0, emr-7.13.0, emr-7.12.0")
    of_spark = failed(checked(release="emr-spark-8.99.0"))["release"].advice or ""
    assert of_spark.endswith("such as emr-spark-8.0.0, emr-spark-8.1.0")
    # Two regions of the Middle East have none of them.
    elsewhere = failed(checked(region="me-south-1", release="emr-spark-8.1.0"))["release"]
    assert elsewhere.found == "me-south-1 has no emr-spark-8.1.0"
    assert "such as emr-7." in (elsewhere.advice or "")


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"release": "emr-6.13.0"}, "release", "glibc"),
    ({"release": "emr-7.99.0"}, "release", "has no emr-7.99.0"),
    ({"applications": ["Hadoop", "Spark", "Zeppelim"]}, "applications", "has no Zeppelim"),
    ({"applications": ["Hadoop", "JupyterHub"]}, "applications", "Spark is not among them"),
    (SPARK_8 | {"applications": ["Spark", "Hive"]}, "applications", "emr-spark-8.1.0 has no Hive"),
    (SPARK_8 | {"applications": ["Livy"]}, "applications", "Spark is not among them"),
    ({"primary": {"type": "m5.huge"}}, "primary type", "m5.huge"),
    ({"core": {"type": "m55.xlarge"}}, "core type", "m55.xlarge"),
    ({"task": {"type": "x"}}, "task type", "x"),
    ({"core": {"type": "m6g.xlarge"}}, "architecture", "AARCH64 and X86_64"),
    ({"core": {"count": 8}}, "quota of on-demand vCPUs", "36 needed"),
    ({"task": {"count": 9}}, "quota of Spot vCPUs", "36 needed"),
    ({"bucket": "not-there"}, "bucket not-there", "is not there"),
    ({"access": {"way": "ssh"}}, "key pair", "none was named"),
    ({"access": {"way": "ssh", "key_pair": "lost"}}, "key pair", "has no lost"),
    ({"network": {"vpc": "vpc-0123456789abcdef0"}}, "network", "vpc-0123456789abcdef0"),
    ({"network": {"subnet": "subnet-0123456789abcdef0"}}, "network", "subnet-0123456789abcdef0"),
]


def test_a_region_that_aws_has_not_is_refused_without_a_call() -> None:
    with pytest.raises(BadArgument, match=r"no region eu-west-33") as refused:
        Account("eu-west-33")
    assert "eu-west-3" in refused.value.advice


def test_a_region_that_the_account_may_not_use(monkeypatch: pytest.MonkeyPatch) -> None:
    regions = [region for region in RegionsAndZonesBackend.regions if region.name != REGION]
    assert len(regions) == len(RegionsAndZonesBackend.regions) - 1
    monkeypatch.setattr(RegionsAndZonesBackend, "regions", regions)
    assert "the account has not this one" in (failed(checked())["region"].advice or "")


@pytest.mark.parametrize(("given", "name", "found"), WRONG, ids=[f"{name}: {found}" for _, name, found in WRONG])
def test_a_wrong_value_is_found_before_anything_is_made(given: dict[str, Any], name: str, found: str) -> None:
    wrong = failed(checked(**given))
    assert list(wrong) == [name]
    assert found in wrong[name].found


def test_what_runs_already_counts_towards_the_quota(monkeypatch: pytest.MonkeyPatch) -> None:
    completed(monkeypatch, {**QUOTAS, "L-1216C47A": 14.0})
    assert not failed(checked())
    ec2 = boto3.client("ec2", region_name=REGION)
    image = ec2.register_image(Name="of a test")["ImageId"]
    ec2.run_instances(ImageId=image, InstanceType="m5.2xlarge", MinCount=1, MaxCount=1, CpuOptions={"CoreCount": 4, "ThreadsPerCore": 2})
    wrong = failed(checked())
    assert wrong["quota of on-demand vCPUs"].found == "8 needed, 8 in use, of 14"


def test_a_bucket_of_ones_own_is_taken_and_one_elsewhere_is_not() -> None:
    for name, region in (("mine", "eu-west-3"), ("afar", "eu-west-1")):
        s3 = boto3.client("s3", region_name=region)
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": region})
    assert checked(bucket="mine")["bucket mine"] == Check("bucket mine", "yours")
    wrong = failed(checked(bucket="afar"))["bucket afar"]
    assert wrong.found == "is in eu-west-1"


def test_a_region_without_a_default_vpc() -> None:
    ec2 = boto3.client("ec2", region_name=REGION)
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    for subnet in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    ec2.delete_vpc(VpcId=vpc["VpcId"])
    assert "has no default VPC" in failed(checked())["VPC"].found


def test_a_vpc_whose_subnets_have_no_way_out(account: Account) -> None:
    (vpc,) = account.ec2.describe_vpcs()["Vpcs"]
    (table,) = account.ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["RouteTables"]
    account.ec2.delete_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0")
    wrong = failed(checked())["network"]
    assert "no subnet with public addresses and a route to an internet gateway" in wrong.found
    assert not failed(checked(network={"private": True}))


def test_a_subnet_of_another_vpc() -> None:
    ec2 = boto3.client("ec2", region_name=REGION)
    other = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.describe_subnets()["Subnets"][0]
    wrong = failed(checked(network={"vpc": other, "subnet": subnet["SubnetId"]}))["subnet"]
    assert wrong.found == f"{subnet['SubnetId']} is in {subnet['VpcId']}"


ANYTHING = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "emr:*", "Resource": "*"}]}'


def _made(policy: bool = True, profile: bool = True, policies: Sequence[str] = ("nodes", "sessions-through-ssm")) -> Resources:
    """A foundation of the parts that are looked at."""
    iam, ec2 = boto3.client("iam"), boto3.client("ec2", region_name=REGION)
    iam.create_role(RoleName="service", AssumeRolePolicyDocument="{}")
    if policy:
        arn = iam.create_policy(PolicyName="AmazonEMRServicePolicy_v2", PolicyDocument=ANYTHING)
        iam.attach_role_policy(RoleName="service", PolicyArn=arn["Policy"]["Arn"])
    iam.create_role(RoleName="nodes", AssumeRolePolicyDocument="{}")
    for name in policies:
        iam.put_role_policy(RoleName="nodes", PolicyName=name, PolicyDocument=ANYTHING)
    if profile:
        iam.create_instance_profile(InstanceProfileName="nodes")
        iam.add_role_to_instance_profile(InstanceProfileName="nodes", RoleName="nodes")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    ec2.create_tags(Resources=[subnet], Tags=[{"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"}])
    return Resources(BUCKET, "arn:aws:iam::123456789012:role/service", "nodes", "sg-1", "sg-2", None, subnet, "security")


def test_a_foundation_that_is_whole() -> None:
    checks = checked(_made())
    assert not failed(checks)
    assert checks["service role"].found == "service: AmazonEMRServicePolicy_v2"
    assert checks["instance profile"].found == "nodes: nodes"


def test_a_service_role_that_has_lost_its_policy() -> None:
    assert list(failed(checked(_made(policy=False)))) == ["service role"]


def test_nodes_that_have_lost_a_right() -> None:
    wrong = failed(checked(_made(policies=["nodes"])))
    assert list(wrong) == ["role of the nodes"]
    assert "lacks sessions-through-ssm" in (wrong["role of the nodes"].advice or "")


def test_sessions_through_ssm_are_needed_by_ssm_alone() -> None:
    boto3.client("ec2", region_name=REGION).create_key_pair(KeyName="mine")
    assert not failed(checked(_made(policies=["nodes"]), access={"way": "ssh", "key_pair": "mine"}))


def test_the_subnet_of_the_foundation_is_not_compared_with_another_vpc() -> None:
    made = _made()
    other = boto3.client("ec2", region_name=REGION).create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    wrong = failed(checked(made, network={"vpc": other}))
    assert "subnet" not in wrong
    assert f"{other} has no subnet with public addresses" in wrong["network"].found


def test_a_budget_that_writes_to_nobody_is_told() -> None:
    assert "no alarm" in checked()["budget"].found
    assert "budget" not in checked(budget={"email": "me@example.org"})


def test_an_instance_profile_that_is_gone() -> None:
    assert "nodes" in failed(checked(_made(profile=False)))["roles"].found


def test_a_subnet_without_the_tag_by_which_emr_may_use_it_gets_it_by_up() -> None:
    made = _made()
    assert checked(made)["subnet"] == Check("subnet", made.subnet)
    boto3.client("ec2", region_name=REGION).delete_tags(Resources=[made.subnet], Tags=[{"Key": "for-use-with-amazon-emr-managed-policies"}])
    checks = checked(made)
    assert not failed(checks)
    assert "to which `up` gives the tag for-use-with-amazon-emr-managed-policies=true" in checks["subnet"].found
