"""What a user of `python -m bootstrap` must be allowed, `bootstrap/rights.json`: enough for what it calls, and not the account."""

import json
import re
from fnmatch import fnmatchcase
from typing import Any

import boto3
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

from bootstrap.foundation import TEMPLATE

from .safety import REGION, read

PACKAGE = TEMPLATE.parent
RIGHTS: dict[str, Any] = json.loads((PACKAGE / "rights.json").read_text())
ALLOWED = [
    action
    for statement in RIGHTS["Statement"]
    for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
]
SERVICES = {"emr": "elasticmapreduce", "quotas": "servicequotas"}
CLIENTS = {"quotas": "service-quotas"}
# Calls that the Service Authorization Reference has under another name, and what transfers call.
NAMES = {
    "s3:DeleteObjects": ["s3:DeleteObject", "s3:DeleteObjectVersion"],
    "s3:DownloadFile": ["s3:GetObject"],
    "s3:DownloadFileobj": ["s3:GetObject"],
    "s3:HeadBucket": ["s3:ListBucket"],
    "s3:HeadObject": ["s3:GetObject"],
    "s3:ListObjectVersions": ["s3:ListBucketVersions"],
    "s3:ListObjectsV2": ["s3:ListBucket"],
    "s3:UploadFile": ["s3:PutObject", "s3:AbortMultipartUpload"],
    "s3:UploadFileobj": ["s3:PutObject", "s3:AbortMultipartUpload"],
    "sts:GetCallerIdentity": [],  # nobody needs a right for it
}
# What CloudFormation's handlers ask for where a template has what ours has not: other principals than roles, boundaries, tables, and those
# of S3's features that are not in it.
UNUSED = re.compile(
    r"iam:.*(Group|User)Policy|iam:.*PermissionsBoundary|iam:UpdateRole(Description)?|s3tables:.*|s3:(Delete|Create|Update)Bucket(?!Policy).+|vpc-lattice:.*|vpce:.*"
    r"|kms:(Disable|Enable)Key|billing:.*|ec2:(Disa|A)ssociateSubnetCidrBlock|ec2:UpdateSecurityGroupRuleDescriptionsEgress"
)


def missing(actions: set[str]) -> list[str]:
    return sorted(action for action in actions if not any(fnmatchcase(action, pattern) for pattern in ALLOWED))


def calls() -> set[tuple[str, str]]:
    """Service and method of each call in the package."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        source = path.read_text()
        for client, named, method, paginated in re.findall(
            r"\baccount\.(?:client\(\"([\w-]+)\"\)|(\w+))\.(\w+)(?:\(\s*\"(\w+)\")?", source
        ):
            service = (client or named).removesuffix("_once")
            if service in ("emr", "ec2", "s3", "iam", "cloudformation", "quotas", "ssm", "sts"):
                found.add((service, paginated if method == "get_paginator" else method))
    return found


def test_every_call_of_the_package_is_allowed() -> None:
    found = calls()
    assert {
        ("emr", "run_job_flow"),
        ("s3", "head_bucket"),
        ("cloudformation", "describe_stack_events"),
        ("ssm", "describe_instance_information"),
    } <= found
    needed: set[str] = set()
    for service, method in found:
        client = boto3.client(CLIENTS.get(service, service), region_name=REGION)
        operation = client.meta.method_to_api_mapping.get(method, "".join(part.title() for part in method.split("_")))
        action = f"{SERVICES.get(service, service)}:{operation}"
        needed |= set(NAMES.get(action, [action]))
    assert missing(needed) == []


def test_what_cloudformation_needs_for_the_template_is_allowed() -> None:
    needed = {
        action
        for resource in read(TEMPLATE)["Resources"].values()
        for name, handler in PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, resource["Type"]).schema["handlers"].items()
        if name != "list"
        for action in handler["permissions"]
    }
    assert {"kms:PutKeyPolicy", "s3:PutBucketPublicAccessBlock", "budgets:ModifyBudget"} <= needed
    assert missing({action for action in needed if not UNUSED.fullmatch(action)}) == []


def test_a_call_that_is_not_allowed_is_found() -> None:
    assert missing({"iam:CreateUser", "ec2:RunInstances", "s3:PutObject"}) == ["ec2:RunInstances", "iam:CreateUser"]


def test_it_is_no_more_than_that() -> None:
    assert not [action for action in ALLOWED if action in ("*", "iam:*", "s3:*", "ec2:*", "kms:*", "elasticmapreduce:*")]
    for statement in RIGHTS["Statement"]:
        text = json.dumps(statement)
        if '"iam:' in text or '"s3:' in text or '"cloudformation:' in text:
            assert statement["Resource"] != "*", statement["Sid"]
        if "iam:PassRole" in text:
            assert "iam:PassedToService" in statement["Condition"]["StringEquals"]
    assert len(json.dumps(RIGHTS, separators=(",", ":"))) <= 6_144  # of a managed policy, IAM's quota
