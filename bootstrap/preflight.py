"""Whether the cluster can be made: what AWS would find out after minutes, or bill for, is asked before."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bootstrap import foundation
from bootstrap.aws import Account, code_of
from bootstrap.buckets import region_of_bucket
from bootstrap.cost import groups
from bootstrap.network import default_vpc, network_of
from bootstrap.releases import check_release, release_of, same_family
from bootstrap.settings import MANAGED_POLICY_TAG, Settings
from fruits.errors import BadArgument

if TYPE_CHECKING:
    from bootstrap.request import Resources

# Service Quotas' names of "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances" and of Spot ones, in vCPUs.
ON_DEMAND, SPOT = "L-1216C47A", "L-34B43A08"
STANDARD = "acdhimrtz"
SERVICE_POLICY = "AmazonEMRServicePolicy_v2"
PUT_BACK = "put back what bootstrap/foundation.yaml has there, or `destroy` and `up`"
NODE_POLICY, SSM_POLICY = "nodes", "sessions-through-ssm"  # as the foundation's template names them


@dataclass(frozen=True)
class Check:
    """`advice`: what to do, or None where all is well."""

    name: str
    found: str
    advice: str | None = None


def preflight(account: Account, settings: Settings, bucket: str, made: "Resources | None") -> Iterator[Check]:
    """Every check, in the order in which one needs another. `made`: the foundation, where it is there."""
    identity = account.client("sts").get_caller_identity()
    yield Check("credentials", f"account {identity['Account']}, {identity['Arn'].rpartition(':')[2]}")
    known = {region["RegionName"] for region in account.ec2.describe_regions()["Regions"]}
    if settings.region not in known:
        yield Check("region", settings.region, f"the account has not this one; it has {', '.join(sorted(known))}")
        return
    yield Check("region", settings.region)
    release, known_types = _release(account, settings), False
    yield release
    if release.advice is None:
        yield _applications(account, settings)
        types = _types(account, settings.release)
        known_types = all(group.type in types for group in groups(settings))
        yield from _instances(settings, types)
        yield from _quotas(account, settings, types)
    yield _bucket(account, settings, bucket)
    network = [*_network(account, settings, made)]
    yield from network
    if known_types and all(check.advice is None for check in network):
        yield from _way_out(account, settings)
    if settings.access.way == "ssh":
        yield _key_pair(account, settings)
    if not settings.budget.email:
        yield Check("budget", "no alarm: [budget] email is empty, so that AWS writes to nobody")
    if made:
        yield from _roles(account, settings, made)
    else:
        yield Check("foundation", "none yet: `up` makes it")


def _release(account: Account, settings: Settings) -> Check:
    try:
        check_release(settings.release)
    except BadArgument as refused:
        return Check("release", refused.message, refused.advice)
    # The paginator of boto3 has none for it.
    labels: list[str] = []
    token = ""
    while True:
        page: Any = account.emr.list_release_labels(NextToken=token) if token else account.emr.list_release_labels()
        labels += page["ReleaseLabels"]
        if not (token := page.get("NextToken", "")):
            break
    if settings.release not in labels:
        newest = ", ".join((same_family(settings.release, labels) or labels)[:3])
        return Check("release", f"{settings.region} has no {settings.release}", f"choose one that it has, such as {newest}")
    return Check("release", settings.release)


def _applications(account: Account, settings: Settings) -> Check:
    described = account.emr.describe_release_label(ReleaseLabel=settings.release)
    names = {application["Name"].lower(): application for application in described.get("Applications", [])}
    missing = [name for name in settings.applications if names and name.lower() not in names]
    needed = release_of(settings.release).family.needed
    what = [f"{settings.release} has no {name}" for name in missing]
    what += [f"{name} is not among them" for name in needed if name not in settings.applications]
    if what:
        offered = ", ".join(sorted(names))
        advice = f"both backends need {' and '.join(needed)}; the release has {offered}"
        return Check("applications", "; ".join(what), advice)
    return Check("applications", ", ".join(settings.applications))


def _types(account: Account, release: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    token = ""
    while True:
        page: Any = account.emr.list_supported_instance_types(ReleaseLabel=release, **({"Marker": token} if token else {}))
        found |= {one["Type"]: one for one in page["SupportedInstanceTypes"]}
        if not (token := page.get("Marker", "")):
            return found


def _instances(settings: Settings, types: dict[str, Any]) -> Iterator[Check]:
    for group in groups(settings):
        of = types.get(group.type)
        if of is None:
            yield Check(
                f"{group.role} type",
                f"{settings.release} does not run on {group.type} in {settings.region}",
                "choose another, such as m5.xlarge",
            )
        else:
            yield Check(
                f"{group.role} type", f"{group.count} {group.type}: {of['VCPU']} vCPUs, {of['MemoryGB']:g} GB, {of['Architecture']}"
            )
    architectures = {types[group.type]["Architecture"] for group in groups(settings) if group.type in types}
    if len(architectures) > 1:
        yield Check(
            "architecture", " and ".join(sorted(architectures)), "take types of one architecture: the nodes share one set of packages"
        )


def _quotas(account: Account, settings: Settings, types: dict[str, Any]) -> Iterator[Check]:
    in_use = _in_use(account)
    for spot, code in ((False, ON_DEMAND), (True, SPOT)):
        of = [group for group in groups(settings) if group.spot == spot and group.type in types and group.type[0] in STANDARD]
        needed = sum(group.count * int(types[group.type]["VCPU"]) for group in of)
        if not needed:
            continue
        name = f"quota of {'Spot' if spot else 'on-demand'} vCPUs"
        limit = int(account.quotas.get_service_quota(ServiceCode="ec2", QuotaCode=code)["Quota"]["Value"])
        found = f"{needed} needed, {in_use[spot]} in use, of {limit}"
        fits = needed + in_use[spot] <= limit
        yield Check(name, found, None if fits else f"ask for more at Service Quotas ({code}), or take fewer nodes: --profile starter")


def _in_use(account: Account) -> dict[bool, int]:
    """vCPUs that run in the region, on demand (False) and Spot (True)."""
    pages = account.ec2.get_paginator("describe_instances").paginate(
        Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    )
    instances = [one for page in pages for reservation in page["Reservations"] for one in reservation["Instances"]]
    running = Counter(
        (one["InstanceType"], one.get("InstanceLifecycle") == "spot") for one in instances if one["InstanceType"][0] in STANDARD
    )
    used = {False: 0, True: 0}
    for (kind, spot), count in running.items():
        (described,) = account.ec2.describe_instance_types(InstanceTypes=[kind])["InstanceTypes"]
        used[spot] += count * described["VCpuInfo"]["DefaultVCpus"]
    return used


def _bucket(account: Account, settings: Settings, bucket: str) -> Check:
    name = f"bucket {bucket}"
    try:
        region = region_of_bucket(account, bucket)
    except BadArgument as refused:
        return Check(name, refused.message, refused.advice)
    if region is None:
        if settings.bucket:
            return Check(name, "is not there", "make it, or leave `bucket` empty: the foundation then makes one")
        return Check(name, "free: the foundation makes it")
    if region != settings.region:
        return Check(name, f"is in {region}", f"take one in {settings.region}: reading across regions is slow, and is paid for")
    return Check(name, "yours")


def _network(account: Account, settings: Settings, made: "Resources | None") -> Iterator[Check]:
    from botocore.exceptions import ClientError

    vpc, subnet = settings.network.vpc, settings.network.subnet or (made.subnet if made else "")
    try:
        if not vpc and not subnet:
            try:
                yield Check("VPC", f"{default_vpc(account)}, the default one")
            except BadArgument as refused:
                yield Check("VPC", refused.message, refused.advice)
                return
        if vpc:
            yield Check("VPC", account.ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["VpcId"])
        if subnet:
            of = account.ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]
            if vpc and of["VpcId"] != vpc:
                if settings.network.subnet:  # else it is the foundation's, in whose place another is chosen
                    yield Check("subnet", f"{subnet} is in {of['VpcId']}", f"give one of {vpc}")
                return
            (key, value), tags = next(iter(MANAGED_POLICY_TAG.items())), {tag["Key"]: tag["Value"] for tag in of.get("Tags", [])}
            yield Check("subnet", subnet if tags.get(key) == value else f"{subnet}, to which `up` gives the tag {key}={value}")
    except ClientError as refused:
        if not code_of(refused).startswith(("InvalidVpcID", "InvalidSubnetID")):
            raise
        yield Check("network", refused.response["Error"]["Message"], "give a vpc and a subnet that there are")


def _way_out(account: Account, settings: Settings) -> Iterator[Check]:
    """Whether there is a subnet for such machines, of the kind that is asked."""
    try:
        network_of(account, settings, foundation.chosen(account, settings))
    except BadArgument as refused:
        yield Check("network", refused.message, refused.advice)


def _key_pair(account: Account, settings: Settings) -> Check:
    from botocore.exceptions import ClientError

    name = settings.access.key_pair
    if not name:
        return Check("key pair", "none was named", 'give [access] key_pair, or way = "ssm", which needs none')
    try:
        account.ec2.describe_key_pairs(KeyNames=[name])
    except ClientError as refused:
        if code_of(refused) != "InvalidKeyPair.NotFound":
            raise
        return Check("key pair", f"{settings.region} has no {name}", "make it there, or import yours: aws ec2 import-key-pair")
    return Check("key pair", name)


def _roles(account: Account, settings: Settings, made: "Resources") -> Iterator[Check]:
    from botocore.exceptions import ClientError

    role = made.service_role.rpartition("/")[2]
    try:
        account.iam.get_role(RoleName=role)
        attached = [one["PolicyName"] for one in account.iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]]
        missing = None if SERVICE_POLICY in attached else f"it lacks {SERVICE_POLICY}: {PUT_BACK}"
        yield Check("service role", f"{role}: {', '.join(attached) or 'without a policy'}", missing)
        profile = made.instance_profile.rpartition("/")[2]
        roles = account.iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
        yield Check(
            "instance profile",
            f"{profile}: {', '.join(one['RoleName'] for one in roles)}",
            None if roles else f"it has no role: {PUT_BACK}",
        )
        for one in roles:
            yield _rights_of_nodes(account, settings, one["RoleName"])
    except ClientError as refused:
        if code_of(refused) != "NoSuchEntity":
            raise
        yield Check("roles", refused.response["Error"]["Message"], PUT_BACK)


def _rights_of_nodes(account: Account, settings: Settings, role: str) -> Check:
    there = account.iam.list_role_policies(RoleName=role)["PolicyNames"]
    # A foundation that was made for ssh has none of SSM: `up` adds it.
    ssm = settings.access.way == "ssm" and not foundation.chosen(account, settings).get("OwnCidr")
    needed = [NODE_POLICY, *([SSM_POLICY] if ssm else [])]
    missing = [policy for policy in needed if policy not in there]
    found = f"{role}: {', '.join(there) or 'without a policy'}"
    return Check("role of the nodes", found, f"it lacks {' and '.join(missing)}: {PUT_BACK}" if missing else None)
