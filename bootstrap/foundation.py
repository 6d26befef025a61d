"""What stays between two clusters, as one CloudFormation stack: found, made or changed, removed. `foundation.yaml` says what it is."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bootstrap.aws import Account, code_of, translated
from bootstrap.buckets import region_of_bucket
from bootstrap.network import network_of
from bootstrap.request import Resources
from bootstrap.settings import MANAGED_BY, MANAGED_POLICY_TAG, PROJECT, Settings
from fruits.errors import BadArgument, RunFailed

TEMPLATE = Path(__file__).with_name("foundation.yaml")
POLL_SECONDS = 5.0
CREATE_MINUTES = 30
# What an attempt to make or to remove it has left: it can only be deleted.
BROKEN = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")
MANAGED_TAG = next(iter(MANAGED_POLICY_TAG.items()))

Say = Callable[[str], None]


def stack_name(settings: Settings) -> str:
    return f"{settings.name}-foundation"


@translated()
def find(account: Account, settings: Settings) -> Resources | None:
    """The foundation of that name, or None where there is none that is whole. Raises `BadArgument` for a stack that is not ours."""
    stack = _stack(account, settings)
    if stack is None or stack["StackStatus"] in BROKEN or stack["StackStatus"].startswith("DELETE") or "Outputs" not in stack:
        return None
    return _resources(stack)


@translated()
def deploy(account: Account, settings: Settings, bucket: str, say: Say, every: float = POLL_SECONDS) -> Resources:
    """Makes it, or changes what differs from the settings, and waits. `bucket` is made where the account has none of that name.

    Each step is told to `say`; AWS is asked every so many seconds. Raises `BadArgument` for what cannot be asked for, before anything is
    made, and `RunFailed` with the reason of the first resource that failed; AWS has undone the rest then.
    """
    stack = _stack(account, settings)
    _not_in_progress(stack, settings)
    now = _chosen(stack)
    parameters = _parameters(account, settings, bucket, now)
    if stack and stack["StackStatus"] in BROKEN:
        say(f"{stack_name(settings)}: {stack['StackStatus']}, removed before it is made anew")
        _delete_stack(account, stack, say, every)
        stack = None
    request: Any = {
        "StackName": stack_name(settings),
        "TemplateBody": TEMPLATE.read_text(encoding="utf-8"),
        "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        "Capabilities": ["CAPABILITY_IAM"],
        "Tags": [{"Key": name, "Value": value} for name, value in _stack_tags(settings).items()],
    }
    if stack is None:
        stack_id = account.cloudformation.create_stack(**request, TimeoutInMinutes=CREATE_MINUTES, OnFailure="ROLLBACK")["StackId"]
        _followed(account, stack_id, set(), ("CREATE_COMPLETE",), say, every)
    else:
        seen = {event["EventId"] for event in _events(account, stack["StackId"])}
        if _update(account, request):
            _followed(account, stack["StackId"], seen, ("UPDATE_COMPLETE",), say, every)
        else:
            say(f"{stack_name(settings)}: nothing to change")
    whole = _stack(account, settings)
    assert whole is not None
    made = _resources(whole)
    _tag_subnet(account, made.subnet, say)
    return made


@translated()
def destroy(account: Account, settings: Settings, with_data: bool, say: Say, every: float = POLL_SECONDS) -> None:
    """Removes it, and says what stays. A bucket in which something is stays unless `with_data`; one that we did not make always does."""
    stack = _stack(account, settings)
    _not_in_progress(stack, settings)
    bucket = _bucket_of(account, settings, stack)
    if stack is None:
        say(f"there is no {stack_name(settings)} in {account.region}")
    else:
        now = _parameters_of(stack)
        if "Outputs" in stack:
            _untie(account, stack, _resources(stack), say)
        _delete_stack(account, stack, say, every)
        if now.get("SubnetId"):
            say(f"{now['SubnetId']} stays, with its tag {'='.join(MANAGED_TAG)}")
    _remove_bucket(account, settings, bucket, with_data, say)


@translated()
def bucket_of(account: Account, settings: Settings) -> str:
    """That of the foundation, or which it would have."""
    return _bucket_of(account, settings, _stack(account, settings))


def _bucket_of(account: Account, settings: Settings, stack: dict[str, Any] | None) -> str:
    return _parameters_of(stack)["BucketName"] if stack else settings.bucket_of(account.id)


@translated()
def chosen(account: Account, settings: Settings) -> dict[str, str]:
    """The template's parameters as they are; none where there is no foundation."""
    return _chosen(_stack(account, settings))


def _chosen(stack: dict[str, Any] | None) -> dict[str, str]:
    return _parameters_of(stack) if stack and stack["StackStatus"] not in BROKEN else {}


def _stack(account: Account, settings: Settings) -> dict[str, Any] | None:
    from botocore.exceptions import ClientError

    try:
        stack: Any = account.cloudformation.describe_stacks(StackName=stack_name(settings))["Stacks"][0]
    except ClientError as refused:
        # The only thing that this call calls a validation error is that there is none.
        if code_of(refused) == "ValidationError":
            return None
        raise
    tags = {tag["Key"]: tag["Value"] for tag in stack.get("Tags", [])}
    if tags.get("Project") != PROJECT or tags.get("ManagedBy") != MANAGED_BY:
        raise BadArgument(
            f"the stack {stack_name(settings)} in {account.region} was not made by python -m bootstrap",
            "give another --name: it is left as it is",
        )
    return dict(stack)


def _stack_tags(settings: Settings) -> dict[str, str]:
    """CloudFormation gives them to all that it makes. The template has a `Name` for each."""
    return {**settings.tags, "Project": PROJECT, "ManagedBy": MANAGED_BY}


def _not_in_progress(stack: dict[str, Any] | None, settings: Settings) -> None:
    if stack and stack["StackStatus"].endswith("_IN_PROGRESS"):
        raise RunFailed(f"{stack_name(settings)} is {stack['StackStatus']}: somebody is at it", "wait for its end, then try again")


def _parameters_of(stack: dict[str, Any]) -> dict[str, str]:
    return {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in stack.get("Parameters", [])}


def _resources(stack: dict[str, Any]) -> Resources:
    made = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    return Resources(
        bucket=made["Bucket"],
        service_role=made["ServiceRole"],
        instance_profile=made["InstanceProfile"],
        primary_group=made["PrimaryGroup"],
        worker_group=made["WorkerGroup"],
        service_group=made.get("ServiceGroup"),
        subnet=made["Subnet"],
        security_configuration=made["SecurityConfiguration"],
    )


def _parameters(account: Account, settings: Settings, bucket: str, now: dict[str, str]) -> dict[str, str]:
    """Of the template, by the settings. `now`: those of the stack as it is, or none; what the settings leave open stays as it is."""
    own = ""
    if settings.access.way == "ssh":
        own = settings.access.cidr
        if not own:
            raise BadArgument(f"[access] cidr = {own!r} is no IPv4 network", "for ssh give your own IPv4 address, such as 203.0.113.7/32")
    ours = now.get("BucketName") == bucket and now.get("MakeBucket") == "yes"
    return {
        "BucketName": bucket,
        "MakeBucket": "yes" if ours or not _exists(account, bucket) else "no",
        **network_of(account, settings, now),
        "OwnCidr": own,
        "BudgetUsd": str(settings.budget.usd_a_month),
        "BudgetEmail": settings.budget.email,
    }


def _exists(account: Account, bucket: str) -> bool:
    """Whether the account has it. Raises `BadArgument` where another account has."""
    return region_of_bucket(account, bucket) is not None


def _update(account: Account, request: dict[str, Any]) -> bool:
    """Whether there was anything to change."""
    from botocore.exceptions import ClientError

    try:
        account.cloudformation.update_stack(**request)
    except ClientError as refused:
        if "No updates are to be performed" not in str(refused):
            raise
        return False
    return True


def _delete_stack(account: Account, stack: dict[str, Any], say: Say, every: float) -> None:
    seen = {event["EventId"] for event in _events(account, stack["StackId"])}
    account.cloudformation.delete_stack(StackName=stack["StackId"])
    _followed(account, stack["StackId"], seen, ("DELETE_COMPLETE",), say, every)


def _events(account: Account, stack_id: str) -> list[Any]:
    """From the first to the last."""
    pages = account.cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack_id)
    return [event for page in pages for event in page["StackEvents"]][::-1]


def _followed(account: Account, stack_id: str, seen: set[str], good: tuple[str, ...], say: Say, every: float) -> None:
    """Comes back when the stack is in a state of `good`; events that are not in `seen` are told. Raises `RunFailed` for another end."""
    reason = ""
    while True:
        status = account.cloudformation.describe_stacks(StackName=stack_id)["Stacks"][0]["StackStatus"]
        for event in _events(account, stack_id):
            if event["EventId"] in seen:
                continue
            seen.add(event["EventId"])
            state, why = event.get("ResourceStatus", ""), event.get("ResourceStatusReason", "")
            if not state.endswith("_IN_PROGRESS"):
                say(f"{event.get('LogicalResourceId', '')}: {state}")
            # When one fails, the others are cancelled: theirs is no reason.
            if state.endswith("_FAILED") and not reason and "cancelled" not in why:
                reason = f"{event.get('LogicalResourceId', '')} ({event.get('ResourceType', '')}): {why}"
        if not status.endswith("_IN_PROGRESS"):
            break
        time.sleep(every)
    if status not in good:
        name = stack_id.split("/")[1]
        raise RunFailed(
            f"{name} is {status}: {reason or 'CloudFormation gives no reason'}", "mend that; the same command goes on from there"
        )


def _tag_subnet(account: Account, subnet: str, say: Say) -> None:
    """A subnet that was there: EMR's role reaches tagged ones only."""
    key, value = MANAGED_TAG
    tags = account.ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0].get("Tags", [])
    if not any(tag["Key"] == key and tag["Value"] == value for tag in tags):
        account.ec2.create_tags(Resources=[subnet], Tags=[{"Key": key, "Value": value}])
        say(f"{subnet}: tagged {key}={value}")


def _untie(account: Account, stack: dict[str, Any], made: Resources, say: Say) -> None:
    """Takes out the rules that EMR has put into the groups since: while one group is named in another's rule, neither can be deleted."""
    pages = account.cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack["StackId"])
    own = {resource.get("PhysicalResourceId") for page in pages for resource in page["StackResourceSummaries"]}
    groups = [group for group in (made.primary_group, made.worker_group, made.service_group) if group]
    rules = account.ec2.get_paginator("describe_security_group_rules").paginate(Filters=[{"Name": "group-id", "Values": groups}])
    for rule in (rule for page in rules for rule in page["SecurityGroupRules"]):
        rule_id, group = rule["SecurityGroupRuleId"], rule["GroupId"]
        if "ReferencedGroupInfo" not in rule or rule_id in own:
            continue
        if rule["IsEgress"]:
            account.ec2.revoke_security_group_egress(GroupId=group, SecurityGroupRuleIds=[rule_id])
        else:
            account.ec2.revoke_security_group_ingress(GroupId=group, SecurityGroupRuleIds=[rule_id])
        say(f"{group}: rule {rule_id} taken out")


def _remove_bucket(account: Account, settings: Settings, bucket: str, with_data: bool, say: Say) -> None:
    if not _exists(account, bucket):
        return
    if not _made_for(account, settings, bucket):
        say(f"s3://{bucket} stays: {stack_name(settings)} did not make it")
        return
    if not with_data and not _is_empty(account, bucket):
        say(f"s3://{bucket} stays with what is in it, which costs by the month: destroy --with-data removes both")
        return
    removed = _empty(account, bucket)
    account.s3.delete_bucket(Bucket=bucket, ExpectedBucketOwner=account.id)
    say(f"s3://{bucket}: removed, with {removed:,} objects")


def _made_for(account: Account, settings: Settings, bucket: str) -> bool:
    """Whether the foundation of this name made it, as its tags say: one account's foundations of other names may share it."""
    from botocore.exceptions import ClientError

    try:
        tags = {tag["Key"]: tag["Value"] for tag in account.s3.get_bucket_tagging(Bucket=bucket)["TagSet"]}
    except ClientError as refused:
        if code_of(refused) == "NoSuchTagSet":
            return False
        raise
    return tags.get("ManagedBy") == MANAGED_BY and tags.get("Name") == stack_name(settings)


def _is_empty(account: Account, bucket: str) -> bool:
    found = account.s3.list_object_versions(Bucket=bucket, MaxKeys=1)
    return not found.get("Versions") and not found.get("DeleteMarkers")


def _empty(account: Account, bucket: str) -> int:
    """Removes all objects with all their versions, 1,000 at a time, and counts them. Raises `RunFailed` for one that stays."""
    removed = 0
    while True:
        page = account.s3.list_object_versions(Bucket=bucket)
        found: Any = [
            {"Key": one["Key"], "VersionId": one["VersionId"]} for one in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
        ]
        if not found:
            return removed
        answer = account.s3.delete_objects(Bucket=bucket, Delete={"Objects": found, "Quiet": True})
        if errors := answer.get("Errors"):
            raise RunFailed(
                f"s3://{bucket}/{errors[0]['Key']} cannot be removed: {errors[0]['Message']}", "mend that, and run `destroy` again"
            )
        removed += len(found)
