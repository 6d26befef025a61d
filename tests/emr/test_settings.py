"""What a cluster may be: defaults, a file of the user's, profiles, the command line."""

from pathlib import Path
from typing import Any

import pytest

from bootstrap.settings import read_settings
from fruits.errors import BadArgument


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder without a cluster.toml."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_defaults_are_the_cluster_that_this_replaces_with_an_end() -> None:
    settings = read_settings(None, None, {})
    assert (settings.region, settings.release) == ("eu-west-3", "emr-7.13.0")
    assert settings.applications == ("Hadoop", "Spark", "JupyterHub")
    assert (settings.primary.type, settings.core.count, settings.task.count, settings.task.spot) == ("m5.xlarge", 1, 2, True)
    assert settings.idle_minutes == 60
    assert settings.scaling is None
    assert settings.access.way == "ssm"


def test_the_applications_follow_the_release_where_none_are_given(elsewhere: Path) -> None:
    of_spark = {"release": "emr-spark-8.1.0"}
    assert read_settings(None, None, of_spark).applications == ("Spark",)
    assert read_settings(None, "notebook", of_spark).applications == ("Spark",)
    (elsewhere / "cluster.toml").write_text('applications = ["Spark", "Livy"]\n')
    assert read_settings(None, None, of_spark).applications == ("Spark", "Livy")
    assert read_settings(None, None, {}).applications == ("Spark", "Livy")


def test_applications_of_another_release_are_refused_with_what_to_do(elsewhere: Path) -> None:
    users_file = 'applications = ["Hadoop", "Spark", "JupyterHub"]\n'
    (elsewhere / "cluster.toml").write_text(users_file)
    with pytest.raises(BadArgument) as refused:
        read_settings(None, None, {"release": "emr-spark-8.1.0"})
    assert "emr-spark-8.1.0 has no Hadoop and no JupyterHub" in refused.value.message
    assert 'applications = ["Spark"]' in refused.value.advice
    assert "emr-7.13.0 has JupyterHub" in refused.value.advice


def test_a_file_a_profile_and_the_command_line_win_in_this_order(elsewhere: Path) -> None:
    (elsewhere / "cluster.toml").write_text(
        'region = "us-east-1"\nidle_minutes = 30\n[core]\ncount = 3\n[profiles.large]\ncore = { count = 10 }\n'
        "[scaling]\nmin = 1\nmax = 40\n"
    )
    settings = read_settings(None, None, {})
    assert (settings.region, settings.idle_minutes, settings.core.count, settings.core.type) == ("us-east-1", 30, 3, "m5.xlarge")
    assert settings.scaling
    assert (settings.scaling.min, settings.scaling.max) == (1, 40)
    assert read_settings(None, "large", {}).core.count == 10
    assert read_settings(None, "large", {"core": {"count": 11}}).core.count == 11
    starter = read_settings(None, "starter", {})
    assert (starter.core.count, starter.task.count) == (1, 0)


def test_the_file_that_is_named_is_read_and_not_the_one_in_the_working_folder(elsewhere: Path) -> None:
    (elsewhere / "cluster.toml").write_text("idle_minutes = 30\n")
    (elsewhere / "other.toml").write_text("idle_minutes = 20\n")
    assert read_settings(elsewhere / "other.toml", None, {}).idle_minutes == 20


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"idle_minutes": 0}, "no cluster without an end"),
    ({"idle_minutes": 9}, "no cluster without an end"),
    ({"idle_minutes": 10081}, "no cluster without an end"),
    ({"access": {"cidr": "0.0.0.0/0"}}, "open to the world"),
    ({"access": {"cidr": "::/0"}}, "no IPv4 network"),
    ({"access": {"cidr": "10.0.0.0/8"}}, "open to a large network"),
    ({"access": {"cidr": "2001:db8::1/128"}}, "no IPv4 network"),
    ({"access": {"cidr": "203.0.113.300/32"}}, "203.0.113.300/32"),
    ({"access": {"way": "telnet"}}, "telnet"),
    ({"core": {"count": 0}}, "0 core"),
    ({"task": {"count": -1}}, "-1 task"),
    ({"scaling": {"min": 5, "max": 20}}, "min = 5"),
    ({"scaling": {"min": 1, "max": 2}}, "max = 2"),
    ({"name": "Fruits!"}, "Fruits!"),
    ({"release": "7.13.0"}, "'7.13.0' is no label"),
    ({"release": "emr-7.13"}, "'emr-7.13' is no label"),
    ({"release": "emr-spark-8.0-preview"}, "'emr-spark-8.0-preview' is no label"),
    ({"release": "emr-spark-8.0.0-latest"}, "'emr-spark-8.0.0-latest' is no label"),
    ({"release": "emr-spark-8.0.0", "applications": ["Spark", "jupyterhub"]}, "has no jupyterhub"),
    ({"release": "emr-spark-8.1.0", "applications": ["Spark", "Zeppelin"]}, "has no Zeppelin"),
    ({"bucket": "s3://mine"}, "s3://mine"),
    ({"budget": {"usd_a_month": 0}}, "usd_a_month"),
    ({"tags": {"aws:mine": "x"}}, "aws:mine"),
    ({"tags": {"Project": "mine"}}, "Project"),
    ({"tags": {"Name": "mine"}}, "Name"),
    ({"tags": {"for-use-with-amazon-emr-managed-policies": "false"}}, "for-use-with-amazon-emr-managed-policies"),
    ({"regoin": "eu-west-3"}, "regoin"),
    ({"core": {"size": 3}}, "core.size"),
    ({"core": {"count": "3"}}, "no whole number"),
    ({"core": 3}, "no table"),
    ({"task": {"spot": 1}}, "no true or false"),
    ({"applications": "Spark"}, "no list of texts"),
    ({"tags": {"cost": 7}}, "no table of texts"),
]


@pytest.mark.parametrize(("given", "named"), REFUSED, ids=[str(given) for given, _ in REFUSED])
def test_what_no_cluster_can_be_is_refused_by_its_name(given: dict[str, Any], named: str) -> None:
    with pytest.raises(BadArgument) as refused:
        read_settings(None, None, given)
    assert named in refused.value.message
    assert refused.value.advice


def test_an_address_of_ones_own_is_taken() -> None:
    for cidr in ("203.0.113.7/32", "203.0.113.0/24"):
        assert read_settings(None, None, {"access": {"cidr": cidr}}).access.cidr == cidr


def test_a_profile_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(BadArgument, match="starter, notebook"):
        read_settings(None, "big", {})


def test_a_file_that_is_no_toml_is_refused(elsewhere: Path) -> None:
    (elsewhere / "cluster.toml").write_text("region = \n")
    with pytest.raises(BadArgument, match=r"cluster\.toml cannot be read"):
        read_settings(None, None, {})
