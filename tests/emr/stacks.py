"""What moto's CloudFormation and default VPC lack of AWS's, made up for."""

from pathlib import Path

import pytest

from bootstrap import foundation
from bootstrap.aws import Account


def completed(patch: pytest.MonkeyPatch, folder: Path, account: Account) -> None:
    """The template as moto takes it, and the internet gateway of the default VPC."""
    template = folder / foundation.TEMPLATE.name
    template.write_text(for_moto(foundation.TEMPLATE.read_text()))
    patch.setattr(foundation, "TEMPLATE", template)
    ec2 = account.ec2
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    table = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"][0]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)


def for_moto(template: str) -> str:
    """It knows no retention but `Retain`, and reads the tags of a key by the names that KMS has for them, where CloudFormation's differ."""
    before, key = template.split("  DiskKey:\n", 1)
    resource, after = key.split("\n\n", 1)
    tags = resource.index("      Tags:\n")
    assert "RetainExceptOnCreate" in before
    return f"{before.replace('RetainExceptOnCreate', 'Retain')}  DiskKey:\n{resource[:tags]}\n\n{after}"
