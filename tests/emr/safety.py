"""What cfn-lint does not look for in the template: who may come in, who may do what, what is encrypted, what is tagged. And what nobody
looks for in the request before AWS does, or the bill."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cfnlint.decode import decode
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

REGION = "eu-west-3"
TAGS = {"Project": "fruits", "ManagedBy": "fruits-bootstrap"}
EMR_TAG = {"for-use-with-amazon-emr-managed-policies": "true"}
# None of these may come in, as a value or as what a parameter takes.
TOO_WIDE = (
    "0.0.0.0/0",
    "0.0.0.0/1",
    "128.0.0.0/1",
    "0.0.0.0/24",
    "10.0.0.0/8",
    "203.0.112.0/23",
    "::/0",
    "2001:db8::/47",
    "203.0.113.7",
    "0/0",
)
# By the Service Authorization Reference these know no resources.
WITHOUT_RESOURCES = re.compile(r"ssmmessages:(Create|Open)(Control|Data)Channel|ssm:UpdateInstanceInformation")
Resource = tuple[str, Mapping[str, Any]]


def read(path: Path) -> dict[str, Any]:
    """The template, its short forms (`!Ref`) as long ones."""
    template, faults = decode(str(path))
    assert not faults, faults
    return dict(template)


def findings(template: Mapping[str, Any]) -> list[str]:
    """Each as `resource: what is wrong`; none is what is wanted."""
    found: list[str] = []
    for resource in template["Resources"].items():
        for check in (_ingress, _tags, _emr_tags, _policies, _bucket, _security_configuration):
            found += [f"{resource[0]}: {fault}" for fault in check(resource, template)]
    return found


def _of(template: Mapping[str, Any], kind: str) -> list[Mapping[str, Any]]:
    return [resource for resource in template["Resources"].values() if resource["Type"] == kind]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _ingress(resource: Resource, template: Mapping[str, Any]) -> Iterator[str]:
    _, body = resource
    if body["Type"] == "AWS::EC2::SecurityGroupIngress":
        rules = [body["Properties"]]
    elif body["Type"] == "AWS::EC2::SecurityGroup":
        rules = body["Properties"].get("SecurityGroupIngress", [])
    else:
        return
    for rule in rules:
        if "SourceSecurityGroupId" in rule:
            if set(rule["SourceSecurityGroupId"]) != {"Ref"} or rule["SourceSecurityGroupId"]["Ref"] not in template["Resources"]:
                yield "lets in a group that is not of the stack"
            continue
        source = rule.get("CidrIp", rule.get("CidrIpv6"))
        if isinstance(source, str):
            if _is_wide(source):
                yield f"is open to {source}"
        elif isinstance(source, Mapping) and source.get("Ref") in template["Parameters"]:
            parameter = template["Parameters"][source["Ref"]]
            pattern = re.compile(parameter.get("AllowedPattern", ".*"))
            taken = [cidr for cidr in (*TOO_WIDE, parameter.get("Default", "")) if cidr and pattern.fullmatch(cidr) and _is_wide(cidr)]
            if taken:
                yield f"is open to {source['Ref']}, which takes {', '.join(taken)}"
        else:
            yield "is open to nobody in particular"


def _is_wide(cidr: str) -> bool:
    try:
        network = ipaddress.ip_network(cidr)
    except ValueError:
        return True
    return network.prefixlen < (24 if network.version == 4 else 48) or int(network.network_address) == 0


def _tags_of(body: Mapping[str, Any]) -> tuple[bool, dict[str, Any]]:
    """Whether AWS takes tags for it, and those that it has."""
    tagging = PROVIDER_SCHEMA_MANAGER.get_resource_schema(REGION, body["Type"]).schema.get("tagging", {})
    tags = body.get("Properties", {}).get(tagging.get("tagProperty", "/properties/Tags").rpartition("/")[2], [])
    return bool(tagging.get("taggable")), {tag["Key"]: tag["Value"] for tag in tags}


def _tags(resource: Resource, template: Mapping[str, Any]) -> Iterator[str]:  # noqa: ARG001
    taggable, tags = _tags_of(resource[1])
    for key, value in TAGS.items():
        if taggable and tags.get(key) != value:
            yield f"lacks the tag {key}={value}"


def _emr_tags(resource: Resource, template: Mapping[str, Any]) -> Iterator[str]:
    """On what EMR is given: the groups and subnets of the outputs, and the endpoint to itself."""
    name, body = resource
    given = name in re.findall(r"'Ref': '(\w+)'", str(template["Outputs"]))
    given &= body["Type"] in ("AWS::EC2::SecurityGroup", "AWS::EC2::Subnet")
    given |= ".emr-service-" in str(body.get("Properties", {}).get("ServiceName"))
    if given and not EMR_TAG.items() <= _tags_of(body)[1].items():
        yield "lacks the tag without which EMR's managed policy does not reach it"


def _statements(body: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    properties = body.get("Properties", {})
    documents = [("resource", properties.get("KeyPolicy")), ("trust", properties.get("AssumeRolePolicyDocument"))]
    documents.append(("resource" if "Bucket" in properties else "identity", properties.get("PolicyDocument")))
    documents += [("identity", policy["PolicyDocument"]) for policy in properties.get("Policies", [])]
    for kind, document in documents:
        for statement in (document or {}).get("Statement", []):
            if statement["Effect"] == "Allow":
                yield kind, statement


def _policies(resource: Resource, template: Mapping[str, Any]) -> Iterator[str]:  # noqa: ARG001
    for managed in resource[1].get("Properties", {}).get("ManagedPolicyArns", []):
        if not str(managed.get("Fn::Sub", managed) if isinstance(managed, Mapping) else managed).endswith("/AmazonEMRServicePolicy_v2"):
            yield f"has the managed policy {managed}"
    for kind, statement in _statements(resource[1]):
        actions, conditions = _list(statement.get("Action", [])), statement.get("Condition", {})
        equal = conditions.get("StringEquals", {})
        if "NotAction" in statement or "NotResource" in statement or "NotPrincipal" in statement:
            yield "allows all but something"
        if kind == "identity":
            if any(action == "*" or action.endswith(":*") for action in actions):
                yield f"allows {', '.join(actions)}"
            if "*" in _list(statement["Resource"]) and not all(WITHOUT_RESOURCES.fullmatch(action) for action in actions):
                yield f"allows {', '.join(actions)} on everything"
            if any(str(target).endswith((":s3:::*", ":role/*", "'Fn::Sub': '*'}")) for target in _list(statement["Resource"])):
                yield f"allows {', '.join(actions)} on all of a kind"
            if "iam:PassRole" in actions and "iam:PassedToService" not in equal:
                yield "passes a role to any service"
        elif kind == "trust":
            if statement["Principal"].get("Service") == "elasticmapreduce.amazonaws.com" and "aws:SourceAccount" not in equal:
                yield "is trusted to EMR on behalf of any account"
            if "AWS" in statement["Principal"]:
                yield "is trusted to others than a service"
        elif statement["Principal"] in ("*", {"AWS": "*"}) and "kms:CallerAccount" not in equal:
            yield "is open to all accounts"


def _bucket(resource: Resource, template: Mapping[str, Any]) -> Iterator[str]:
    name, body = resource
    if body["Type"] != "AWS::S3::Bucket":
        return
    properties = body["Properties"]
    blocks = properties.get("PublicAccessBlockConfiguration", {})
    if not all(blocks.get(block) for block in ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")):
        yield "may become public"
    if not properties.get("BucketEncryption"):
        yield "is not encrypted"
    if properties.get("OwnershipControls", {}).get("Rules") != [{"ObjectOwnership": "BucketOwnerEnforced"}]:
        yield "may hold objects of others"
    if body.get("DeletionPolicy") not in ("Retain", "RetainExceptOnCreate") or body.get("UpdateReplacePolicy") != "Retain":
        yield "goes with the stack, and its data too"
    rules = properties.get("LifecycleConfiguration", {}).get("Rules", [])
    if [rule.get("Prefix") for rule in rules if rule.get("ExpirationInDays")] != ["logs/"]:
        yield "does not expire the logs, and them alone"
    if not any("AbortIncompleteMultipartUpload" in rule and "Prefix" not in rule for rule in rules):
        yield "keeps uploads that were not ended"
    denied = [
        statement
        for policy in _of(template, "AWS::S3::BucketPolicy")
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if policy["Properties"]["Bucket"] == {"Ref": name} and statement["Effect"] == "Deny" and statement["Principal"] == "*"
    ]
    if not any(one["Action"] == "s3:*" and one["Condition"] == {"Bool": {"aws:SecureTransport": "false"}} for one in denied):
        yield "takes requests that are not encrypted"


def _security_configuration(resource: Resource, template: Mapping[str, Any]) -> Iterator[str]:  # noqa: ARG001
    if resource[1]["Type"] != "AWS::EMR::SecurityConfiguration":
        return
    content = resource[1]["Properties"]["SecurityConfiguration"]
    if content.get("InstanceMetadataServiceConfiguration", {}).get("MinimumInstanceMetadataServiceVersion") != 2:
        yield "does not require IMDSv2"
    encryption = content.get("EncryptionConfiguration", {})
    at_rest = encryption.get("AtRestEncryptionConfiguration", {})
    if not encryption.get("EnableAtRestEncryption") or "S3EncryptionConfiguration" not in at_rest:
        yield "does not encrypt at rest"
    if not at_rest.get("LocalDiskEncryptionConfiguration", {}).get("EnableEbsEncryption"):
        yield "does not encrypt local disks"


# Of emr-7.x, by the application that brings them: https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-configure-apps.html
CLASSIFICATIONS = {
    "Hadoop": "capacity-scheduler core-site emrfs-site hadoop-env hdfs-env hdfs-site mapred-env mapred-site yarn-env yarn-site",
    "JupyterHub": "jupyter-hub-conf jupyter-notebook-conf jupyter-s3-conf jupyter-sparkmagic-conf livy-conf livy-env",
    "Spark": "spark spark-defaults spark-env spark-hive-site spark-log4j2 spark-metrics",
}
# Of emr-spark-8.0.0 and 8.1.0: HDFS and YARN come with Spark, and are configured as before.
# https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-spark810-release.html
APPLICATIONS_OF_SPARK_8 = {
    "AmazonCloudWatchAgent",
    "Delta",
    "Hudi",
    "Iceberg",
    "JupyterEnterpriseGateway",
    "Livy",
    "Spark",
}
CLASSIFICATIONS_OF_SPARK_8 = {
    "JupyterEnterpriseGateway": "jupyter-notebook-conf jupyter-s3-conf jupyter-sparkmagic-conf",
    "Livy": "livy-conf livy-env livy-log4j2",
    "Spark": "capacity-scheduler core-site hadoop-env hdfs-env hdfs-site mapred-env mapred-site "
    "yarn-env yarn-site spark spark-defaults spark-env spark-hive-site spark-log4j2 spark-metrics",
}
JUPYTER_S3 = {"s3.persistence.enabled", "s3.persistence.bucket"}
SECRET = re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b|(?i:secret|password|aws_session_token)")


def request_findings(request: Mapping[str, Any]) -> list[str]:
    """Of RunJobFlow's arguments."""
    found: list[str] = []
    applications = {application["Name"] for application in request["Applications"]}
    needed, classifications = ["Hadoop", "Spark"], CLASSIFICATIONS
    if (release := request["ReleaseLabel"]).startswith("emr-spark-8."):
        needed, classifications = ["Spark"], CLASSIFICATIONS_OF_SPARK_8
        missing = sorted(applications - APPLICATIONS_OF_SPARK_8)
        found += [f"{release} has no {name}" for name in missing]
    found += [f"{name} is needed by both backends" for name in needed if name not in applications]
    for configuration in request["Configurations"]:
        name = configuration["Classification"]
        of = next((of for of, names in classifications.items() if name in names.split()), None)
        if of is None:
            found.append(f"EMR knows no classification {name}")
        elif of not in applications:
            found.append(f"{name} is of {of}, which is not asked for")
        if name == "jupyter-s3-conf" and set(configuration["Properties"]) != JUPYTER_S3:
            found.append(f"jupyter-s3-conf has {', '.join(sorted(configuration['Properties']))}")
    tags = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    found += [f"lacks the tag {key}={value}" for key, value in {**TAGS, **EMR_TAG}.items() if tags.get(key) != value]
    if not 600 <= request.get("AutoTerminationPolicy", {}).get("IdleTimeout", 0) <= 604_800:
        found.append("does not end when it is idle")
    if not request.get("SecurityConfiguration"):
        found.append("has no security configuration")
    if request["Instances"].get("TerminationProtected") is not False:
        found.append("is protected from its end")
    found += [
        f"{group['Name']} is on Spot"
        for group in request["Instances"]["InstanceGroups"]
        if group["InstanceRole"] != "TASK" and group["Market"] == "SPOT"
    ]
    found += [f"holds {secret.group()}" for secret in SECRET.finditer(str(request))]
    return found
