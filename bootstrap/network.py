"""Where the cluster is: the VPC and subnet of the settings, or one that is chosen, as parameters of the foundation's template."""

import ipaddress
from dataclasses import dataclass
from typing import Any

from bootstrap.aws import Account
from bootstrap.releases import release_of
from bootstrap.settings import Settings
from fruits.errors import BadArgument

PRIVATE_BITS = 24  # of the private subnet that is made: 251 machines
EMR_SERVICE = "aws.api.{region}.emr-service-cell01"  # EMR itself, as endpoints name it


@dataclass(frozen=True)
class Way:
    """Out of a subnet. `to`: "internet", "nat" (or anything else that is not the internet gateway), or "" for none."""

    table: str
    to: str


def network_of(account: Account, settings: Settings, now: dict[str, str]) -> dict[str, str]:
    """VpcId, Private, SubnetId, PrivateSubnetCidr, PrivateSubnetZone, RouteTableId,
    InterfaceEndpoints and ServiceEndpoint.

    `now`: those of the stack as it is: what was chosen once stays, if the settings still leave it open. Raises `BadArgument` for a subnet
    that is not in the VPC, or not of the kind that was asked for.
    """
    wanted = settings.network
    subnet = account.ec2.describe_subnets(SubnetIds=[wanted.subnet])["Subnets"][0] if wanted.subnet else None
    vpc = wanted.vpc or (subnet["VpcId"] if subnet else default_vpc(account))
    if subnet and subnet["VpcId"] != vpc:
        raise BadArgument(
            f"[network] subnet = {wanted.subnet} is in {subnet['VpcId']}, not in {vpc}", "give one of that VPC, or leave vpc empty"
        )
    found = {"VpcId": vpc, "Private": "yes" if wanted.private else "no"}
    kept = now if all(now.get(name) == value for name, value in found.items()) else {}
    chosen = {
        "SubnetId": wanted.subnet,
        "PrivateSubnetCidr": "",
        "PrivateSubnetZone": "",
        "RouteTableId": "",
        "InterfaceEndpoints": "no",
        "ServiceEndpoint": "no",
    }
    if not wanted.private:
        if not wanted.subnet:
            chosen["SubnetId"] = _public_subnet(account, settings, vpc, kept.get("SubnetId", ""))
        elif _way_out(account, vpc, wanted.subnet).to != "internet":
            raise BadArgument(
                f"{wanted.subnet} has no route to an internet gateway", "set [network] private = true, or give another subnet"
            )
        return found | chosen
    if wanted.subnet:
        way = _way_out(account, vpc, wanted.subnet)
        if way.to == "internet":
            raise BadArgument(f"private = true, but {wanted.subnet} has a route to an internet gateway", "give another subnet, or none")
        if kept.get("RouteTableId") == way.table or not _has_s3_endpoint(account, vpc, way.table):
            chosen["RouteTableId"] = way.table
        alone = not way.to
    else:
        zones = _zones(account, settings)
        if kept.get("PrivateSubnetZone") not in zones:  # a subnet cannot move: another takes its place, beside it until it is gone
            kept = {**kept, "PrivateSubnetCidr": "", "PrivateSubnetZone": zones[0]}
        chosen["PrivateSubnetCidr"] = kept["PrivateSubnetCidr"] or _free_cidr(account, vpc)
        chosen["PrivateSubnetZone"] = kept["PrivateSubnetZone"]
        alone = True
    if alone and (kept.get("InterfaceEndpoints") == "yes" or _lacks_endpoints(account, settings, vpc)):
        chosen["InterfaceEndpoints"] = "yes"
    if release_of(settings.release).needs_service_endpoint:
        emr = EMR_SERVICE.format(region=account.region)
        if kept.get("ServiceEndpoint") == "yes" or not _endpoints(account, vpc, emr):
            chosen["ServiceEndpoint"] = "yes"
    return found | chosen


def default_vpc(account: Account) -> str:
    """Raises `BadArgument` where the region has none."""
    found = account.ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    if not found:
        raise BadArgument(f"{account.region} has no default VPC", "give [network] vpc and subnet, or: aws ec2 create-default-vpc")
    return found[0]["VpcId"]


def _zones(account: Account, settings: Settings) -> list[str]:
    """Availability zones that offer all types of the cluster."""
    types = sorted({settings.primary.type, settings.core.type, *([settings.task.type] if settings.task.count else [])})
    pages = account.ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": types}]
    )
    offered: dict[str, set[str]] = {}
    for offer in (offer for page in pages for offer in page["InstanceTypeOfferings"]):
        offered.setdefault(offer["Location"], set()).add(offer["InstanceType"])
    zones = sorted(zone for zone, of in offered.items() if of >= set(types))
    if not zones:
        raise BadArgument(f"no availability zone of {account.region} offers {' and '.join(types)}", "choose other types, such as m5.xlarge")
    return zones


def _public_subnet(account: Account, settings: Settings, vpc: str, kept: str) -> str:
    """`kept` if it still fits, or the one with the most free addresses, of those whose machines reach the internet."""
    zones = _zones(account, settings)
    pages = account.ec2.get_paginator("describe_subnets").paginate(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    fit = [
        subnet
        for page in pages
        for subnet in page["Subnets"]
        if subnet["MapPublicIpOnLaunch"]
        and subnet["AvailabilityZone"] in zones
        and _way_out(account, vpc, subnet["SubnetId"]).to == "internet"
    ]
    if not fit:
        raise BadArgument(
            f"{vpc} has no subnet with public addresses and a route to an internet gateway in {', '.join(zones)}",
            "give [network] subnet, or set private = true",
        )
    if any(subnet["SubnetId"] == kept for subnet in fit):
        return kept
    return max(sorted(fit, key=lambda one: one["AvailabilityZone"]), key=lambda one: one["AvailableIpAddressCount"])["SubnetId"]


def _way_out(account: Account, vpc: str, subnet: str) -> Way:
    """By the subnet's route table, or the VPC's where it has none of its own."""
    for name, value in (("association.subnet-id", subnet), ("association.main", "true")):
        tables: list[Any] = account.ec2.describe_route_tables(
            Filters=[{"Name": "vpc-id", "Values": [vpc]}, {"Name": name, "Values": [value]}]
        )["RouteTables"]
        if tables:
            break
    else:
        raise BadArgument(f"{vpc} has no route table", "give another [network] vpc")
    out = next((route for route in tables[0]["Routes"] if route.get("DestinationCidrBlock") == "0.0.0.0/0"), None)
    to = "" if out is None else "internet" if out.get("GatewayId", "").startswith("igw-") else "nat"
    return Way(tables[0]["RouteTableId"], to)


def _free_cidr(account: Account, vpc: str) -> str:
    """The last network of `PRIVATE_BITS` in the VPC that no subnet has: subnets are usually made from the first on."""
    blocks = [
        ipaddress.IPv4Network(block["CidrBlock"]) for block in account.ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["CidrBlockAssociationSet"]
    ]
    pages = account.ec2.get_paginator("describe_subnets").paginate(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    taken = [ipaddress.IPv4Network(subnet["CidrBlock"]) for page in pages for subnet in page["Subnets"]]
    for block in blocks:
        for free in reversed(list(block.subnets(new_prefix=PRIVATE_BITS)) if block.prefixlen <= PRIVATE_BITS else []):
            if not any(free.overlaps(other) for other in taken):
                return str(free)
    raise BadArgument(f"{vpc} has no free network of /{PRIVATE_BITS} for a private subnet", "give [network] subnet, or another vpc")


def _endpoints(account: Account, vpc: str, *names: str) -> list[Any]:
    pages = account.ec2.get_paginator("describe_vpc_endpoints").paginate(
        Filters=[{"Name": "vpc-id", "Values": [vpc]}, {"Name": "service-name", "Values": names}]
    )
    return [endpoint for page in pages for endpoint in page["VpcEndpoints"]]


def _service_name(account: Account, service: str) -> str:
    """Of most of AWS's services, as endpoints name them."""
    return f"com.amazonaws.{account.region}.{service}"


def _has_s3_endpoint(account: Account, vpc: str, table: str) -> bool:
    of_s3 = _endpoints(account, vpc, _service_name(account, "s3"))
    return any(table in endpoint.get("RouteTableIds", []) for endpoint in of_s3)


def _lacks_endpoints(account: Account, settings: Settings, vpc: str) -> bool:
    """Whether the VPC has none of what nodes without a way out need. Raises `BadArgument` where it has some: a service takes one a VPC."""
    needed = ["kms", "ssm", "ssmmessages"] if settings.access.way == "ssm" else ["kms"]
    present = _endpoints(account, vpc, *(_service_name(account, service) for service in needed))
    with_endpoint = {endpoint["ServiceName"].rpartition(".")[2] for endpoint in present}
    missing = [service for service in needed if service not in with_endpoint]
    if missing and with_endpoint:
        raise BadArgument(
            f"{vpc} has interface endpoints of {', '.join(sorted(with_endpoint))}, but none of {', '.join(missing)}",
            "add those, open to the nodes, or remove all: the foundation then makes them",
        )
    return bool(missing)
