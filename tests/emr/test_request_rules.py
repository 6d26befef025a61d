"""Our rules for the request, which no tool checks before AWS does: nothing in ours, and what they are for in broken ones."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bootstrap.request import Bundle, Resources, run_job_flow
from bootstrap.settings import read_settings

from .safety import request_findings

Request = dict[str, Any]
MADE = Resources("fruits-1", "service", "nodes", "sg-1", "sg-2", "sg-3", "subnet-1", "configuration-1")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder without a cluster.toml."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def request_of_ours(elsewhere: None) -> Request:  # noqa: ARG001
    return run_job_flow(read_settings(None, None, {}), MADE, Bundle("s3://fruits-1/bundles/1", "1"))


@pytest.mark.parametrize("release", ["emr-7.13.0", "emr-spark-8.0.0", "emr-spark-8.1.0"])
@pytest.mark.parametrize("profile", [None, "starter", "notebook"])
@pytest.mark.usefixtures("elsewhere")
def test_nothing_is_found_in_ours(profile: str | None, release: str) -> None:
    settings = read_settings(None, profile, {"release": release})
    request = run_job_flow(settings, MADE, Bundle("s3://fruits-1/bundles/1", "1"))
    assert request_findings(request) == []


def _jupyter(request: Request) -> Any:
    return next(one for one in request["Configurations"] if one["Classification"] == "jupyter-s3-conf")


def _of_spark_8(request: Request) -> None:
    request["ReleaseLabel"] = "emr-spark-8.1.0"


BROKEN: dict[str, tuple[Callable[[Request], Any], str]] = {
    "the notebook's misspelling": (
        lambda r: _jupyter(r).update(Properties={"s3.persistance.enabled": "true", "s3.persistance.bucket": "b"}),
        "s3.persistance.enabled",
    ),
    "a classification that there is not": (lambda r: _jupyter(r).update(Classification="jupyter-s3-config"), "jupyter-s3-config"),
    "one of an application that is not asked for": (lambda r: r["Applications"].pop(), "jupyter-s3-conf is of JupyterHub"),
    "no such application": (_of_spark_8, "emr-spark-8.1.0 has no JupyterHub"),
    "what configures it": (_of_spark_8, "jupyter-s3-conf is of JupyterEnterpriseGateway"),
    "no Spark": (lambda r: r.update(Applications=[{"Name": "Hadoop"}, {"Name": "JupyterHub"}]), "Spark is needed"),
    "no owner's tag": (lambda r: r.update(Tags=[tag for tag in r["Tags"] if tag["Key"] != "ManagedBy"]), "ManagedBy"),
    "no tag for EMR's policy": (lambda r: r.update(Tags=[tag for tag in r["Tags"] if not tag["Key"].startswith("for-use")]), "for-use"),
    "no end": (lambda r: r.pop("AutoTerminationPolicy"), "idle"),
    "an end that is too early": (lambda r: r.update(AutoTerminationPolicy={"IdleTimeout": 60}), "idle"),
    "no encryption": (lambda r: r.pop("SecurityConfiguration"), "security configuration"),
    "protection": (lambda r: r["Instances"].update(TerminationProtected=True), "protected"),
    "HDFS on Spot": (lambda r: r["Instances"]["InstanceGroups"][1].update(Market="SPOT"), "core is on Spot"),
    "a key": (lambda r: r["BootstrapActions"][0]["ScriptBootstrapAction"]["Args"].append("AKIAIOSFODNN7EXAMPLE"), "AKIA"),
    "a password": (lambda r: r["Tags"].append({"Key": "password", "Value": "1234"}), "password"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_our_rules_find(name: str, request_of_ours: Request) -> None:
    change, word = BROKEN[name]
    broken = copy.deepcopy(request_of_ours)
    change(broken)
    found = request_findings(broken)
    assert [finding for finding in found if word in finding], found
