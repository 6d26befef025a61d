"""The foundation against moto: made, left, changed, removed, refused. moto makes no bucket policy, budget or public access block; it has no
states of failure, and names no resource in its events: those are put into its stacks as AWS documents them."""

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.client import BaseClient
from moto.cloudformation.models import Event, Stack

from bootstrap import foundation
from bootstrap.aws import Account
from bootstrap.network import network_of
from bootstrap.preflight import preflight
from bootstrap.settings import Settings, read_settings
from fruits.errors import BadArgument, RunFailed

from . import stacks
from .accounts import completed

REGION = "eu-west-3"
BUCKET = "fruits-123456789012-eu-west-3"  # moto's account
OWN = "203.0.113.7/32"
SSH = {"access": {"way": "ssh", "cidr": OWN}}
PRIVATE = {"network": {"private": True}}


@pytest.fixture(scope="module")
def clients(offline: None) -> Account:  # noqa: ARG001
    """Of all tests here: botocore takes a second to read what each service is."""
    return Account(REGION)


@pytest.fixture
def account(aws: None, clients: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Account:  # noqa: ARG001
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # a second a test, and nobody here chooses an image
    stacks.completed(monkeypatch, tmp_path, clients)
    return clients


@pytest.fixture
def told() -> list[str]:
    return []


def settings(**given: Any) -> Settings:
    return read_settings(None, None, given)


def deploy(account: Account, of: Settings, told: list[str], bucket: str = BUCKET) -> Any:
    return foundation.deploy(account, of, bucket, told.append, every=0)


def destroy(account: Account, of: Settings, told: list[str], with_data: bool = False) -> None:
    foundation.destroy(account, of, with_data, told.append, every=0)


def stack_of(account: Account) -> Any:
    return account.cloudformation.describe_stacks(StackName="fruits-foundation")["Stacks"][0]


def parameters_of(account: Account) -> dict[str, str]:
    return {one["ParameterKey"]: one["ParameterValue"] for one in stack_of(account)["Parameters"]}


def updates(account: Account) -> int:
    events = account.cloudformation.describe_stack_events(StackName="fruits-foundation")["StackEvents"]
    return sum(event["ResourceStatus"] == "UPDATE_COMPLETE" for event in events)


def rules_from_addresses(account: Account, group: str) -> set[tuple[str, int, int]]:
    rules = account.ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    return {(rule["CidrIpv4"], rule["FromPort"], rule["ToPort"]) for rule in rules if not rule["IsEgress"] and "CidrIpv4" in rule}


def buckets(account: Account) -> list[str]:
    return [bucket["Name"] for bucket in account.s3.list_buckets()["Buckets"]]


def test_it_makes_what_a_cluster_is_asked_for_with(account: Account, told: list[str]) -> None:
    assert foundation.find(account, settings()) is None
    made = deploy(account, settings(tags={"team": "data"}), told)
    assert made == foundation.find(account, settings())
    assert made.bucket == BUCKET
    assert account.iam.get_role(RoleName=made.service_role)
    profile = account.iam.get_instance_profile(InstanceProfileName=made.instance_profile)["InstanceProfile"]
    assert [role["RoleName"] for role in profile["Roles"]] != [made.service_role]
    assert account.emr.describe_security_configuration(Name=made.security_configuration)["SecurityConfiguration"]
    groups = account.ec2.describe_security_groups(GroupIds=[made.primary_group, made.worker_group])["SecurityGroups"]
    for group in groups:
        tags = {tag["Key"]: tag["Value"] for tag in group["Tags"]}
        assert tags["for-use-with-amazon-emr-managed-policies"] == "true"
        assert (tags["Project"], tags["ManagedBy"], tags["team"]) == ("fruits", "fruits-bootstrap", "data")
        assert rules_from_addresses(account, group["GroupId"]) == set()
    assert made.service_group is None
    assert "fruits-foundation: CREATE_COMPLETE" in told


def test_the_chosen_subnet_has_public_addresses_and_the_tag_that_emr_needs(account: Account, told: list[str]) -> None:
    made = deploy(account, settings(), told)
    subnet = account.ec2.describe_subnets(SubnetIds=[made.subnet])["Subnets"][0]
    assert subnet["MapPublicIpOnLaunch"]
    assert {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"} in subnet["Tags"]
    assert f"{made.subnet}: tagged for-use-with-amazon-emr-managed-policies=true" in told


def test_a_second_time_there_is_nothing_to_change(account: Account, told: list[str]) -> None:
    first = deploy(account, settings(), told)
    assert deploy(account, settings(), told) == first
    assert told[-1] == "fruits-foundation: nothing to change"
    assert updates(account) == 0


def test_a_changed_setting_changes_the_stack_and_nothing_else_of_it(account: Account, told: list[str]) -> None:
    first = deploy(account, settings(), told)
    before = parameters_of(account)
    larger = account.ec2.create_subnet(VpcId=before["VpcId"], CidrBlock="172.31.128.0/18")["Subnet"]["SubnetId"]
    account.ec2.modify_subnet_attribute(SubnetId=larger, MapPublicIpOnLaunch={"Value": True})  # would be chosen now
    made = deploy(account, settings(**SSH), told)
    assert updates(account) == 1
    assert rules_from_addresses(account, made.primary_group) == {(OWN, 22, 22), (OWN, 9443, 9443)}
    assert rules_from_addresses(account, made.worker_group) == set()
    after = parameters_of(account)
    assert {name for name in after if after[name] != before[name]} == {"OwnCidr"}
    assert (made.bucket, made.subnet, made.primary_group) == (first.bucket, first.subnet, first.primary_group)


@pytest.mark.parametrize(("before", "there"), [(SSH, ["nodes"]), ({}, ["nodes", "sessions-through-ssm"])], ids=["ssh", "ssm"])
def test_what_a_changed_setting_adds_is_not_missed_before(
    account: Account, told: list[str], monkeypatch: pytest.MonkeyPatch, before: dict[str, Any], there: list[str]
) -> None:
    completed(monkeypatch)
    made = deploy(account, settings(**before), told)
    (of_nodes,) = (check for check in preflight(account, settings(), BUCKET, made) if check.name == "role of the nodes")
    assert sorted(of_nodes.found.partition(": ")[2].split(", ")) == there
    assert of_nodes.advice is None


def test_the_budget_takes_the_settings(account: Account, told: list[str]) -> None:
    deploy(account, settings(budget={"usd_a_month": 7, "email": "me@example.org"}), told)
    assert {name: parameters_of(account)[name] for name in ("BudgetUsd", "BudgetEmail")} == {
        "BudgetUsd": "7",
        "BudgetEmail": "me@example.org",
    }


def failed(self: Stack, *_: Any, on_its_way: list[tuple[str, str, str, str]], end: str, **__: Any) -> None:
    """In place of moto's making or removing: these events, and this state."""
    for name, kind, state, why in on_its_way:
        self.events.append(Event(self.stack_id, self.name, name, "", kind, state, why, None))
    self.status = end


TAKEN = [
    ("NodeRole", "AWS::IAM::Role", "CREATE_FAILED", "Resource creation cancelled"),
    ("Bucket", "AWS::S3::Bucket", "CREATE_FAILED", "fruits-x already exists"),
    ("ServiceRole", "AWS::IAM::Role", "CREATE_FAILED", "another reason"),
    ("fruits-foundation", "AWS::CloudFormation::Stack", "ROLLBACK_COMPLETE", ""),
]


def test_a_resource_that_cannot_be_made_is_named_with_its_reason_and_the_next_time_goes_on(account: Account, told: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        broken = functools.partialmethod(failed, on_its_way=TAKEN, end="ROLLBACK_COMPLETE")
        patch.setattr(Stack, "create_resources", broken)
        with pytest.raises(RunFailed, match=r"ROLLBACK_COMPLETE: Bucket \(AWS::S3::Bucket\): fruits-x already exists"):
            deploy(account, settings(), told)
    assert "Bucket: CREATE_FAILED" in told
    assert stack_of(account)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert foundation.find(account, settings()) is None
    made = deploy(account, settings(), told)
    assert stack_of(account)["StackStatus"] == "CREATE_COMPLETE"
    assert made.bucket == BUCKET


def test_what_cannot_be_removed_is_named_with_its_reason_and_the_bucket_is_left(account: Account, told: list[str]) -> None:
    deploy(account, settings(), told)
    in_use = [("PrimaryGroup", "AWS::EC2::SecurityGroup", "DELETE_FAILED", "sg-1 has a dependent object")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stack, "delete", functools.partialmethod(failed, on_its_way=in_use, end="DELETE_FAILED"))
        # moto files a stack under the deleted ones whatever became of it.
        with pytest.raises(RunFailed, match=r"PrimaryGroup \(AWS::EC2::SecurityGroup\): sg-1 has a dependent object"):
            destroy(account, settings(), told, with_data=True)
    assert buckets(account) == [BUCKET]


def test_a_stack_at_which_somebody_else_is_is_left_alone(account: Account, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    deploy(account, settings(), told)
    monkeypatch.setattr(Stack, "update", functools.partialmethod(failed, on_its_way=[], end="UPDATE_IN_PROGRESS"))
    account.cloudformation.update_stack(StackName="fruits-foundation", TemplateBody=foundation.TEMPLATE.read_text() + "\n")
    with pytest.raises(RunFailed, match="UPDATE_IN_PROGRESS"):
        deploy(account, settings(**SSH), told)
    with pytest.raises(RunFailed, match="UPDATE_IN_PROGRESS"):
        destroy(account, settings(), told)


def test_a_stack_of_that_name_that_is_not_ours_is_not_touched(account: Account, told: list[str]) -> None:
    other = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}
    account.cloudformation.create_stack(
        StackName="fruits-foundation", TemplateBody=json.dumps(other), Tags=[{"Key": "Project", "Value": "fruits"}]
    )
    for attempt in (
        lambda: foundation.find(account, settings()),
        lambda: deploy(account, settings(), told),
        lambda: destroy(account, settings(), told, with_data=True),
    ):
        with pytest.raises(BadArgument, match="was not made by python -m bootstrap"):
            attempt()
    assert stack_of(account)["StackStatus"] == "CREATE_COMPLETE"
    assert account.cloudformation.get_template(StackName="fruits-foundation")["TemplateBody"] == other
    assert told == []


def test_two_names_are_two_foundations_that_share_the_bucket(account: Account, told: list[str]) -> None:
    first = deploy(account, settings(), told)
    second = deploy(account, settings(name="other"), told)
    assert first.bucket == second.bucket
    assert not {first.primary_group, first.service_role, first.security_configuration} & {
        second.primary_group,
        second.service_role,
        second.security_configuration,
    }
    destroy(account, settings(name="other"), told, with_data=True)
    assert told[-1] == f"s3://{BUCKET} stays: other-foundation did not make it"
    assert buckets(account) == [BUCKET]
    assert foundation.find(account, settings()) == first


def test_a_bucket_with_data_stays_until_it_is_told_otherwise(account: Account, told: list[str]) -> None:
    deploy(account, settings(), told)
    account.s3.put_object(Bucket=BUCKET, Key="Test/Apple/1.jpg", Body=b"image")
    destroy(account, settings(), told)
    assert foundation.find(account, settings()) is None
    assert told[-1].startswith(f"s3://{BUCKET} stays with what is in it")
    assert account.s3.get_object(Bucket=BUCKET, Key="Test/Apple/1.jpg")["Body"].read() == b"image"

    destroy(account, settings(), told, with_data=True)
    assert told[-2:] == ["there is no fruits-foundation in eu-west-3", f"s3://{BUCKET}: removed, with 1 objects"]
    assert buckets(account) == []

    destroy(account, settings(), told, with_data=True)
    assert told[-1] == "there is no fruits-foundation in eu-west-3"


def test_an_empty_bucket_goes_with_the_foundation(account: Account, told: list[str]) -> None:
    deploy(account, settings(), told)
    destroy(account, settings(), told)
    assert buckets(account) == []


def test_old_versions_and_more_than_a_page_of_objects_are_removed_too(account: Account, told: list[str]) -> None:
    deploy(account, settings(), told)
    account.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for number in range(1002):
        account.s3.put_object(Bucket=BUCKET, Key=f"Results/{number}", Body=b"")
    account.s3.put_object(Bucket=BUCKET, Key="Results/0", Body=b"again")
    account.s3.delete_object(Bucket=BUCKET, Key="Results/1")
    destroy(account, settings(), told, with_data=True)
    assert told[-1] == f"s3://{BUCKET}: removed, with 1,004 objects"
    assert buckets(account) == []


def test_a_bucket_of_the_users_own_is_used_and_never_removed(account: Account, told: list[str]) -> None:
    account.s3.create_bucket(Bucket="mine", CreateBucketConfiguration={"LocationConstraint": REGION})
    account.s3.put_object(Bucket="mine", Key="x", Body=b"")
    made = deploy(account, settings(bucket="mine"), told, bucket="mine")
    assert made.bucket == "mine"
    assert parameters_of(account)["MakeBucket"] == "no"
    destroy(account, settings(bucket="mine"), told, with_data=True)
    assert told[-1] == "s3://mine stays: fruits-foundation did not make it"
    assert account.s3.list_objects_v2(Bucket="mine")["KeyCount"] == 1


def test_the_bucket_of_another_account_is_refused_before_anything_is_made(account: Account, told: list[str]) -> None:
    # moto lets every account see every bucket.
    answer = AWSResponse("", 403, {}, None), {"Error": {"Code": "403", "Message": "Forbidden"}, "ResponseMetadata": {}}
    account.s3.meta.events.register("before-call.s3.HeadBucket", lambda **_: answer, "theirs")
    with pytest.raises(BadArgument, match="theirs belongs to another account"):
        deploy(account, settings(bucket="theirs"), told, bucket="theirs")
    account.s3.meta.events.unregister("before-call.s3.HeadBucket", unique_id="theirs")
    assert account.cloudformation.list_stacks()["StackSummaries"] == []


def test_ssh_without_an_address_is_refused_before_anything_is_made(account: Account, told: list[str]) -> None:
    with pytest.raises(BadArgument, match="is no IPv4 network"):
        deploy(account, settings(access={"way": "ssh"}), told)
    assert account.cloudformation.list_stacks()["StackSummaries"] == []


def test_a_private_subnet_is_made_with_a_way_to_s3_and_to_what_the_nodes_need(account: Account, told: list[str]) -> None:
    made = deploy(account, settings(**PRIVATE), told)
    vpc = account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnet = account.ec2.describe_subnets(SubnetIds=[made.subnet])["Subnets"][0]
    assert (subnet["CidrBlock"], subnet["MapPublicIpOnLaunch"], subnet["VpcId"]) == ("172.31.255.0/24", False, vpc)
    assert {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"} in subnet["Tags"]
    endpoints = {one["ServiceName"].rpartition(".")[2]: one for one in account.ec2.describe_vpc_endpoints()["VpcEndpoints"]}
    assert set(endpoints) == {"s3", "kms", "ssm", "ssmmessages"}
    assert endpoints["s3"]["VpcEndpointType"] == "Gateway"
    table = account.ec2.describe_route_tables(RouteTableIds=endpoints["s3"]["RouteTableIds"])["RouteTables"][0]
    assert not [route for route in table["Routes"] if route.get("DestinationCidrBlock") == "0.0.0.0/0"]
    assert endpoints["ssm"]["SubnetIds"] == [made.subnet]
    assert made.service_group
    for group in (made.primary_group, made.worker_group, made.service_group):
        assert rules_from_addresses(account, group) == set()

    assert deploy(account, settings(**PRIVATE), told) == made
    assert told[-1] == "fruits-foundation: nothing to change"


SERVICE = f"aws.api.{REGION}.emr-service-cell01"  # as AWS's PrivateLink lists it
SPARK_8 = {"release": "emr-spark-8.1.0"}


def service_endpoints(account: Account) -> list[Any]:
    of_emr = {"Name": "service-name", "Values": [SERVICE]}
    endpoints = account.ec2.describe_vpc_endpoints(Filters=[of_emr])["VpcEndpoints"]
    return [endpoint for endpoint in endpoints if endpoint["State"] != "deleted"]


def groups_let_in(account: Account, group: str, port: int) -> set[str]:
    of_group = {"Name": "group-id", "Values": [group]}
    rules = account.ec2.describe_security_group_rules(Filters=[of_group])["SecurityGroupRules"]
    to_port = [rule for rule in rules if not rule["IsEgress"] and rule["FromPort"] == port]
    return {rule["ReferencedGroupInfo"]["GroupId"] for rule in to_port}


def test_spark_4_in_a_private_subnet_has_an_endpoint_to_emr(account: Account, told: list[str]) -> None:
    """Which `ls` shows and `destroy` removes, unlike the one that EMR makes by itself."""
    made = deploy(account, settings(**PRIVATE, **SPARK_8), told)
    (endpoint,) = service_endpoints(account)
    assert endpoint["VpcEndpointType"] == "Interface"
    assert endpoint["PrivateDnsEnabled"]
    assert endpoint["SubnetIds"] == [made.subnet]
    assert {"Key": "ManagedBy", "Value": "fruits-bootstrap"} in endpoint["Tags"]
    (group,) = (group["GroupId"] for group in endpoint["Groups"])
    assert group == made.service_group
    assert groups_let_in(account, group, 443) == {made.primary_group, made.worker_group}

    assert deploy(account, settings(**PRIVATE, **SPARK_8), told) == made
    assert told[-1] == "fruits-foundation: nothing to change"
    assert parameters_of(account)["ServiceEndpoint"] == "yes"
    deploy(account, settings(**PRIVATE), told)  # moto removes no endpoints
    assert parameters_of(account)["ServiceEndpoint"] == "no"


def test_a_nat_is_no_way_to_emr_itself(account: Account, told: list[str]) -> None:
    subnet, _ = private_subnet(account, nat=True)
    deploy(account, settings(network={"private": True, "subnet": subnet}, **SPARK_8), told)
    parameters = parameters_of(account)
    assert (parameters["InterfaceEndpoints"], parameters["ServiceEndpoint"]) == ("no", "yes")


def test_an_endpoint_to_emr_that_is_there_is_used(account: Account) -> None:
    assert network_of(account, settings(**SPARK_8), {})["ServiceEndpoint"] == "no"
    assert network_of(account, settings(**PRIVATE, **SPARK_8), {})["ServiceEndpoint"] == "yes"
    vpc = account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    account.ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=SERVICE, VpcEndpointType="Interface")
    assert network_of(account, settings(**PRIVATE, **SPARK_8), {})["ServiceEndpoint"] == "no"


def offered(patch: pytest.MonkeyPatch, zone: str) -> None:
    """All types in that zone alone."""
    call = BaseClient._make_api_call

    def answered(self: BaseClient, name: str, parameters: dict[str, Any]) -> Any:
        answer: Any = call(self, name, parameters)
        if name == "DescribeInstanceTypeOfferings":
            answer["InstanceTypeOfferings"] = [offer for offer in answer["InstanceTypeOfferings"] if offer["Location"] == zone]
        return answer

    patch.setattr(BaseClient, "_make_api_call", answered)


@pytest.mark.parametrize("given", [{}, PRIVATE], ids=["public", "private"])
def test_a_zone_that_does_not_offer_the_types_any_more_is_not_kept(account: Account, given: dict[str, Any]) -> None:
    def parameters(now: dict[str, str]) -> dict[str, str]:
        return network_of(account, settings(**given), now)

    with pytest.MonkeyPatch.context() as patch:
        offered(patch, f"{REGION}a")
        first = parameters({})
        assert parameters(first) == first
    with pytest.MonkeyPatch.context() as patch:
        offered(patch, f"{REGION}b")
        second = parameters(first)
    if given:
        assert (first["PrivateSubnetZone"], second["PrivateSubnetZone"]) == (f"{REGION}a", f"{REGION}b")
    else:
        zones = [account.ec2.describe_subnets(SubnetIds=[one["SubnetId"]])["Subnets"][0]["AvailabilityZone"] for one in (first, second)]
        assert zones == [f"{REGION}a", f"{REGION}b"]


def private_subnet(account: Account, nat: bool) -> tuple[str, str]:
    """Of the user's own; and its route table."""
    vpc = account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    subnet = account.ec2.create_subnet(VpcId=vpc, CidrBlock="172.31.200.0/24")["Subnet"]["SubnetId"]
    table = account.ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    account.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
    if nat:
        address = account.ec2.allocate_address(Domain="vpc")["AllocationId"]
        gateway = account.ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address)["NatGateway"]["NatGatewayId"]
        account.ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=gateway)
    return subnet, table


@pytest.mark.parametrize(("nat", "endpoints"), [(True, "no"), (False, "yes")])
def test_a_private_subnet_of_the_users_gets_the_endpoints_that_it_lacks(
    account: Account, told: list[str], nat: bool, endpoints: str
) -> None:
    subnet, table = private_subnet(account, nat)
    made = deploy(account, settings(network={"private": True, "subnet": subnet}), told)
    assert made.subnet == subnet
    found = parameters_of(account)
    assert (found["RouteTableId"], found["InterfaceEndpoints"], found["PrivateSubnetCidr"]) == (table, endpoints, "")


def test_endpoints_that_the_vpc_has_are_used(account: Account, told: list[str]) -> None:
    subnet, table = private_subnet(account, nat=False)
    vpc = account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    account.ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=f"com.amazonaws.{REGION}.s3", RouteTableIds=[table])
    given = {"network": {"private": True, "subnet": subnet}}
    account.ec2.create_vpc_endpoint(VpcId=vpc, ServiceName=f"com.amazonaws.{REGION}.ssm", VpcEndpointType="Interface", SubnetIds=[subnet])
    with pytest.raises(BadArgument, match="has interface endpoints of ssm, but none of kms, ssmmessages"):
        deploy(account, settings(**given), told)
    for service in ("kms", "ssmmessages"):
        account.ec2.create_vpc_endpoint(
            VpcId=vpc, ServiceName=f"com.amazonaws.{REGION}.{service}", VpcEndpointType="Interface", SubnetIds=[subnet]
        )
    deploy(account, settings(**given), told)
    assert (parameters_of(account)["RouteTableId"], parameters_of(account)["InterfaceEndpoints"]) == ("", "no")


def test_a_subnet_of_the_other_kind_is_refused(account: Account, told: list[str]) -> None:
    subnet, _ = private_subnet(account, nat=True)
    with pytest.raises(BadArgument, match=f"{subnet} has no route to an internet gateway"):
        deploy(account, settings(network={"subnet": subnet}), told)
    public = account.ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"][0]["SubnetId"]
    with pytest.raises(BadArgument, match=f"private = true, but {public} has a route to an internet gateway"):
        deploy(account, settings(network={"private": True, "subnet": public}), told)
    other = account.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    with pytest.raises(BadArgument, match=f"not in {other}"):
        deploy(account, settings(network={"vpc": other, "subnet": subnet}), told)
    assert account.cloudformation.list_stacks()["StackSummaries"] == []


def test_a_vpc_in_which_no_cluster_can_be_is_refused(account: Account, told: list[str]) -> None:
    small = account.ec2.create_vpc(CidrBlock="10.0.0.0/28")["Vpc"]["VpcId"]
    with pytest.raises(BadArgument, match=f"{small} has no subnet with public addresses"):
        deploy(account, settings(network={"vpc": small}), told)
    with pytest.raises(BadArgument, match=f"{small} has no free network of /24"):
        deploy(account, settings(network={"vpc": small, "private": True}), told)
    for subnet in account.ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]:
        account.ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    account.ec2.delete_vpc(VpcId=account.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"])
    with pytest.raises(BadArgument, match="eu-west-3 has no default VPC"):
        deploy(account, settings(), told)
    assert told == []


def test_the_rules_that_emr_added_are_taken_out_so_that_the_groups_can_go(account: Account, told: list[str]) -> None:
    made = deploy(account, settings(), told)
    stranger = account.ec2.create_security_group(
        GroupName="emr", Description="a group that EMR knows", VpcId=account.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    )
    added = account.ec2.authorize_security_group_ingress(
        GroupId=made.primary_group,
        IpPermissions=[{"IpProtocol": "tcp", "FromPort": 8443, "ToPort": 8443, "UserIdGroupPairs": [{"GroupId": stranger["GroupId"]}]}],
    )["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    destroy(account, settings(), told)
    assert f"{made.primary_group}: rule {added} taken out" in told
    assert stack_gone(account)


def stack_gone(account: Account) -> bool:
    return [stack["StackStatus"] for stack in account.cloudformation.list_stacks()["StackSummaries"]] == ["DELETE_COMPLETE"]


def test_no_zone_with_such_machines_is_said(account: Account, told: list[str]) -> None:
    with pytest.raises(BadArgument, match=r"no availability zone of eu-west-3 offers m5\.xlarge and zz9\.huge"):
        deploy(account, settings(core={"type": "zz9.huge"}), told)


def test_an_error_of_aws_is_told_in_words(account: Account, told: list[str]) -> None:
    with pytest.raises(RunFailed, match=r"DescribeSubnets: InvalidSubnetID\.NotFound"):
        deploy(account, settings(network={"subnet": "subnet-0123456789abcdef0"}), told)
