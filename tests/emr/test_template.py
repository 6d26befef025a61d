"""The foundation's template: cfn-lint's rules, our own, and that ours find what they are for."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint_file
from cfnlint.config import ManualArgs

from bootstrap.foundation import TEMPLATE

from .safety import TOO_WIDE, findings, read

Template = dict[str, Any]


def test_cfn_lint_finds_nothing() -> None:
    assert lint_file(TEMPLATE, ManualArgs(regions=["eu-west-3", "us-east-1"], include_checks=["I"])) == []


def test_cfn_lint_finds_what_is_broken(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text(TEMPLATE.read_text().replace("IpProtocol: tcp", "IpProtokol: tcp", 1))
    assert lint_file(broken)


def test_our_rules_find_nothing() -> None:
    assert findings(read(TEMPLATE)) == []


def test_the_template_is_within_the_size_that_a_request_may_have() -> None:
    assert len(TEMPLATE.read_bytes()) <= 51_200  # TemplateBody of CreateStack


def _resource(template: Template, name: str) -> Template:
    found: Template = template["Resources"][name]["Properties"]
    return found


def _statement(template: Template, role: str, sid: str) -> Template:
    return next(
        statement
        for policy in _resource(template, role)["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Sid"] == sid
    )


def _security(template: Template) -> Template:
    found: Template = _resource(template, "SecurityConfiguration")["SecurityConfiguration"]
    return found


def _drop_tag(key: str, resource: str, where: str = "Tags") -> Callable[[Template], None]:
    def change(template: Template) -> None:
        tags = _resource(template, resource)[where]
        tags[:] = [tag for tag in tags if tag["Key"] != key]

    return change


# What is done to the template: the resource and the word by which it is found.
BROKEN: dict[str, tuple[Callable[[Template], Any], str, str]] = {
    "SSH open to the world": (lambda t: _resource(t, "SshFromOwner").update(CidrIp="0.0.0.0/0"), "SshFromOwner", "0.0.0.0/0"),
    "SSH open to half of it": (lambda t: _resource(t, "SshFromOwner").update(CidrIp="128.0.0.0/1"), "SshFromOwner", "128"),
    "JupyterHub open by IPv6": (
        lambda t: (_resource(t, "JupyterHubFromOwner").pop("CidrIp"), _resource(t, "JupyterHubFromOwner").update(CidrIpv6="::/0")),
        "JupyterHubFromOwner",
        "::/0",
    ),
    "a parameter that takes any address": (lambda t: t["Parameters"]["OwnCidr"].pop("AllowedPattern"), "SshFromOwner", "0.0.0.0/0"),
    "a parameter that takes a /8": (
        lambda t: t["Parameters"]["OwnCidr"].update(AllowedPattern=r"[0-9.]+/([89]|[12][0-9]|3[0-2])"),
        "SshFromOwner",
        "10.0.0.0/8",
    ),
    "a rule from anywhere": (lambda t: _resource(t, "ServiceFromPrimary").pop("SourceSecurityGroupId"), "ServiceFromPrimary", "nobody"),
    "a rule in a group": (
        lambda t: _resource(t, "WorkerGroup").update(SecurityGroupIngress=[{"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}]),
        "WorkerGroup",
        "0.0.0.0/0",
    ),
    "somebody else's group": (
        lambda t: _resource(t, "PrimaryFromService").update(SourceSecurityGroupId="sg-0123456789abcdef0"),
        "PrimaryFromService",
        "not of the stack",
    ),
    "a bucket without an owner's tag": (_drop_tag("ManagedBy", "Bucket"), "Bucket", "ManagedBy"),
    "a key without a tag": (_drop_tag("Project", "DiskKey"), "DiskKey", "Project"),
    "an endpoint without a tag": (_drop_tag("Project", "S3Endpoint"), "S3Endpoint", "Project"),
    "a budget without a tag": (_drop_tag("Project", "Budget", "ResourceTags"), "Budget", "Project"),
    "a group that EMR may not touch": (
        _drop_tag("for-use-with-amazon-emr-managed-policies", "WorkerGroup"),
        "WorkerGroup",
        "managed policy",
    ),
    "an endpoint that EMR may not touch": (
        _drop_tag("for-use-with-amazon-emr-managed-policies", "EmrEndpoint"),
        "EmrEndpoint",
        "managed policy",
    ),
    "a subnet that EMR may not touch": (_drop_tag("for-use-with-amazon-emr-managed-policies", "Subnet"), "Subnet", "managed policy"),
    "IMDSv1": (lambda t: _security(t).pop("InstanceMetadataServiceConfiguration"), "SecurityConfiguration", "IMDSv2"),
    "nothing encrypted": (
        lambda t: _security(t)["EncryptionConfiguration"].update(EnableAtRestEncryption=False),
        "SecurityConfiguration",
        "at rest",
    ),
    "plain disks": (
        lambda t: _security(t)["EncryptionConfiguration"]["AtRestEncryptionConfiguration"].pop("LocalDiskEncryptionConfiguration"),
        "SecurityConfiguration",
        "local disks",
    ),
    "all of S3": (lambda t: _statement(t, "NodeRole", "Read").update(Action="s3:*"), "NodeRole", "s3:*"),
    "all buckets": (lambda t: _statement(t, "NodeRole", "Read").update(Resource="*"), "NodeRole", "everything"),
    "any bucket": (lambda t: _statement(t, "NodeRole", "Read").update(Resource="arn:aws:s3:::*"), "NodeRole", "all of a kind"),
    "any role to EC2": (
        lambda t: _statement(t, "ServiceRole", "GiveTheNodesTheirRole").update(Resource="arn:aws:iam::123456789012:role/*"),
        "ServiceRole",
        "all of a kind",
    ),
    "a role to any service": (
        lambda t: _statement(t, "ServiceRole", "GiveTheNodesTheirRole").pop("Condition"),
        "ServiceRole",
        "any service",
    ),
    "AdministratorAccess": (
        lambda t: _resource(t, "NodeRole").update(ManagedPolicyArns=["arn:aws:iam::aws:policy/AdministratorAccess"]),
        "NodeRole",
        "AdministratorAccess",
    ),
    "EMR for any account": (
        lambda t: _resource(t, "ServiceRole")["AssumeRolePolicyDocument"]["Statement"][0].pop("Condition"),
        "ServiceRole",
        "any account",
    ),
    "a role for anybody": (
        lambda t: _resource(t, "NodeRole")["AssumeRolePolicyDocument"]["Statement"][0].update(Principal={"AWS": "*"}),
        "NodeRole",
        "others than a service",
    ),
    "a key for all accounts": (
        lambda t: _resource(t, "DiskKey")["KeyPolicy"]["Statement"][1]["Condition"]["StringEquals"].pop("kms:CallerAccount"),
        "DiskKey",
        "all accounts",
    ),
    "a bucket for all accounts": (
        lambda t: _resource(t, "BucketPolicy")["PolicyDocument"]["Statement"].append(
            {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}
        ),
        "BucketPolicy",
        "all accounts",
    ),
    "a bucket that may be public": (
        lambda t: _resource(t, "Bucket")["PublicAccessBlockConfiguration"].update(RestrictPublicBuckets=False),
        "Bucket",
        "public",
    ),
    "a plain bucket": (lambda t: _resource(t, "Bucket").pop("BucketEncryption"), "Bucket", "not encrypted"),
    "plain connections": (lambda t: t["Resources"].pop("BucketPolicy"), "Bucket", "requests that are not encrypted"),
    "data that goes with the stack": (lambda t: t["Resources"]["Bucket"].pop("DeletionPolicy"), "Bucket", "goes with the stack"),
    "images that expire": (
        lambda t: _resource(t, "Bucket")["LifecycleConfiguration"]["Rules"][0].pop("Prefix"),
        "Bucket",
        "logs, and them alone",
    ),
    "uploads without an end": (lambda t: _resource(t, "Bucket")["LifecycleConfiguration"]["Rules"].pop(), "Bucket", "not ended"),
    "others' objects": (lambda t: _resource(t, "Bucket").pop("OwnershipControls"), "Bucket", "objects of others"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_our_rules_find(name: str) -> None:
    change, resource, word = BROKEN[name]
    template = copy.deepcopy(read(TEMPLATE))
    change(template)
    found = findings(template)
    assert [finding for finding in found if finding.startswith(f"{resource}: ") and word in finding], found


@pytest.mark.parametrize("cidr", TOO_WIDE)
def test_the_template_itself_takes_no_wide_network(cidr: str) -> None:
    """Also for somebody who types it into the console. CloudFormation's patterns are anchored."""
    pattern = read(TEMPLATE)["Parameters"]["OwnCidr"]["AllowedPattern"]
    assert not re.fullmatch(pattern, cidr)
    assert re.fullmatch(pattern, "203.0.113.7/32")
