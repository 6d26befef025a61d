"""`submit`: what is refused before anything starts, the step that is asked for, and how it is followed to each of its ends."""

import json
import subprocess
import sys
from pathlib import Path

import click.testing
import pytest
from botocore.client import BaseClient
from click.testing import CliRunner

from bootstrap.commands.jobs import submit

from .world import BUCKET, World, bucket, cluster, images

RECORDER = """#!{python}
import json, os, sys
with open({said!r}, "w") as file:
    json.dump([sys.argv[1:], os.environ["SPARK_HOME"], os.environ["HADOOP_CONF_DIR"]], file)
sys.exit(7)
"""
ON_S3 = ("--backend", "dask", "--input", f"s3://{BUCKET}/Test", "--output", f"s3://{BUCKET}/Results")


@pytest.fixture
def world(aws: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:  # noqa: ARG001
    """A bucket with three images, and a cluster that runs. The working folder has no settings."""
    monkeypatch.chdir(tmp_path)
    bucket()
    images("Test", 3)
    cluster()
    return World(monkeypatch)


def run(*arguments: str, yes: bool = True) -> click.testing.Result:
    return CliRunner().invoke(submit, [*(["--yes"] if yes else []), "--poll", "0", *arguments])


def test_a_step_that_ends_well_is_followed_and_its_words_are_printed(world: World) -> None:
    world.on("describe_step", world.step("PENDING"), world.step("PENDING"), world.step("RUNNING"), world.step("COMPLETED"))
    # EMR writes what a step says every five minutes, so that at first there is only a part.
    world.on("list_objects", None, None, world.log("20 images\n"), world.log("335 images\nexit code 0\n", "Dask: 2 workers\n"))
    done = run("--", *ON_S3)
    assert done.exit_code == 0, done.output
    states = [line.split(": ")[1] for line in done.stdout.splitlines() if " UTC s-" in line]
    assert states == ["PENDING", "RUNNING", "COMPLETED"]
    assert done.stdout.endswith("335 images\nexit code 0\n")
    assert done.stderr == "Dask: 2 workers\n"
    assert "20 images" not in done.output


@pytest.mark.usefixtures("world")
def test_the_cost_is_told_before() -> None:
    done = run("--no-wait", "--", *ON_S3)
    assert done.exit_code == 0, done.output
    before = done.stdout.partition("\ns-")[0]
    # eu-west-3: 2 x 0.224 on demand, 2 x (0.0629 + 0.0642) / 2 on Spot, 4 x 0.048 of EMR.
    assert f"costs at least ${2 * 0.224 + 0.0629 + 0.0642 + 4 * 0.048:.2f} an hour" in before
    assert "EBS volumes of the nodes" in before
    assert f"dask: 3 files of s3://{BUCKET}/Test in " in before
    assert "spark:" not in before


def test_the_exit_code_of_the_job_is_that_of_the_command(world: World) -> None:
    world.on("describe_step", world.step("RUNNING"), world.step("FAILED", "exitCode 3"))
    world.on("list_objects", None, world.log("exit code 3\n", "error: no space\n"))
    done = run("--", *ON_S3)
    assert done.exit_code == 3
    assert "error: no space" in done.stderr


def test_an_answer_that_was_lost_makes_no_second_step(world: World) -> None:
    assert run("--no-wait", "--", *ON_S3).exit_code == 0  # one of the same name is there before
    sent = world.lose("AddJobFlowSteps")
    done = run("--no-wait", "--", *ON_S3)
    assert done.exit_code == 0, done.output
    assert sent == ["AddJobFlowSteps"]
    assert len(world.steps) == 2
    assert f"{world.steps[1].id}: " in done.stdout


def test_a_step_that_failed_and_of_which_there_is_no_log_says_where_it_will_be(world: World) -> None:
    world.on("describe_step", world.step("FAILED", "the node was lost"))
    done = run("--log-minutes", "0", "--", *ON_S3)
    assert done.exit_code == 1
    assert "the node was lost" in done.stderr
    assert f"s3://{BUCKET}/logs/{world.clusters[0].id}/steps/{world.steps[0].id}/" in done.stderr


def test_a_log_that_does_not_come_in_time_is_no_failure_of_a_step_that_ended_well(world: World) -> None:
    world.on("describe_step", world.step("COMPLETED"))
    world.on("list_objects", None, None, world.log("half of it\n"))
    done = run("--log-minutes", "0.005", "--", *ON_S3)
    assert done.exit_code == 0, done.output
    assert world.asked.count("list_objects") > 3, "it was not waited for"
    assert "look into s3://" in done.stdout


def test_a_step_that_was_cancelled_is_told_with_the_reason(world: World) -> None:
    world.on("describe_step", world.step("RUNNING"), world.step("CANCELLED", "Cancelled by user"))
    done = run("--", *ON_S3)
    assert done.exit_code == 1
    assert "is CANCELLED: Cancelled by user" in done.stderr


def test_a_cluster_that_ends_under_a_step_is_told_with_the_reason(world: World) -> None:
    world.on("describe_step", world.step("RUNNING"))
    world.on("list_instance_groups", None, None, None, world.cluster("TERMINATING", "Spot instances were reclaimed"))
    done = run("--", *ON_S3)
    assert done.exit_code == 1
    assert "is TERMINATING (Spot instances were reclaimed), and s-" in done.stderr
    assert " was RUNNING" in done.stderr


def test_interrupted_it_says_that_the_step_goes_on(world: World) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    world.on("describe_step", world.step("RUNNING"), interrupt)
    done = run("--", *ON_S3)
    assert done.exit_code == 130
    step = world.steps[0]
    assert step.state == "RUNNING"
    assert f"{step.id} goes on" in done.stderr
    assert f"submit --cancel {step.id}" in done.stderr


@pytest.mark.parametrize(
    "given", [("--no-wait", "--log-minutes", "1"), ("--cancel", "s-1", "--no-wait"), ("--cancel", "s-1", "--log-minutes", "1")]
)
def test_an_option_without_effect_is_refused(world: World, given: tuple[str, ...]) -> None:
    refused = run(*given)
    assert refused.exit_code == 2
    assert "no effect" in refused.stderr
    assert not world.steps


def test_the_step_runs_the_products_own_python_with_the_arguments_as_they_were_typed(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The step's own command, run by Bash: only the path of the nodes' Python is another."""
    said = tmp_path / "said.json"
    python = tmp_path / "a folder" / "python"
    python.parent.mkdir()
    python.write_text(RECORDER.format(python=sys.executable, said=str(said)))
    python.chmod(0o755)
    monkeypatch.setattr("bootstrap.commands.jobs.PYTHON", str(python))
    odd = ["--pattern", 'it\'s $(exit 1) `id` "q" *.jpg', "--pattern", "two\nlines; exit 0 #", "--set", "é=ü, $HOME"]
    done = run("--no-wait", "--", *odd)
    assert done.exit_code == 0, done.output
    step = world.steps[0]
    assert (step.jar, step.action_on_failure) == ("command-runner.jar", "CONTINUE")
    ended = subprocess.run(step.args, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"})
    assert (ended.returncode, ended.stdout) == (7, "exit code 7\n"), ended.stderr
    assert json.loads(said.read_text()) == [["-m", "fruits", *odd], "/usr/lib/spark", "/etc/hadoop/conf"]


def test_commands_of_the_product_run_too(world: World) -> None:
    done = run("--no-wait", "--", "validate", f"s3://{BUCKET}/Results")
    assert done.exit_code == 0, done.output
    assert f"/opt/fruits/bin/python -m fruits validate s3://{BUCKET}/Results" in world.steps[0].args[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--bakend", "dask"], "No such option '--bakend'. Did you mean '--backend'?"),
        (["--backend", "ray"], "'ray' is not one of"),
        (["--components", "0"], "from 1 to 1280 components"),
        (["--input", "Test"], "--input Test is of this machine"),
        (["--output", "../results"], "--output ../results is of this machine"),
        (["--output", f"s3://{BUCKET}/Features"], "the nodes may not write there"),
        (["--output", f"s3a://{BUCKET}"], "the nodes may not write there"),
        (["--manifest", "images.txt"], "--manifest images.txt is of this machine"),
        (["validate", "results"], "results is of this machine"),
        (["validate"], "Missing argument"),
        (["valdate", "s3://b/r"], "no command 'valdate'"),
        (["--input", "s3://key:secret@bucket/Test"], "holds a user name or key"),
        (["--set", "fs.s3a.secret.key=x"], "show their configuration in process lists"),
        (["--input", f"s3://{BUCKET}/Nothing"], f"there is nothing in s3://{BUCKET}/Nothing"),
        (["--input", "s3://no-such-bucket/Test"], "there is nothing in s3://no-such-bucket/Test"),
        (["--pattern", "x" * 11_000], "EMR takes 10,280 characters of a step"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_starts(world: World, arguments: list[str], said: str) -> None:
    done = run("--no-wait", "--", *arguments)
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert "secret@" not in done.output
    assert not world.steps


def test_the_clusters_own_hdfs_needs_no_configuration_here(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    done = run("--no-wait", "--", "--input", "hdfs:///Test", "--output", "hdfs:///Results", "--cluster", "yarn")
    assert done.exit_code == 0, done.output
    assert "hdfs:///Test" in world.steps[0].args[-1]
    assert "are not counted" in done.stdout


def test_nobody_to_ask_is_no_yes(world: World) -> None:
    done = run("--", *ON_S3, yes=False)
    assert done.exit_code == 2
    assert "say --yes" in done.stderr
    assert not world.steps


def test_without_a_cluster_there_is_nothing_to_run_on(world: World) -> None:
    world.clusters[0].terminate()
    done = run("--", *ON_S3)
    assert done.exit_code == 2
    assert "no cluster named fruits runs in eu-west-3" in done.stderr


def _cancelling(monkeypatch: pytest.MonkeyPatch, status: str, reason: str) -> list[dict[str, object]]:
    """moto has no CancelSteps: EMR's answer, in its place."""
    asked: list[dict[str, object]] = []
    call = BaseClient._make_api_call

    def answered(self: BaseClient, name: str, parameters: dict[str, object]) -> object:
        if name != "CancelSteps":
            return call(self, name, parameters)
        asked.append(parameters)
        return {"CancelStepsInfoList": [{"StepId": "s-1", "Status": status, "Reason": reason}]}

    monkeypatch.setattr(BaseClient, "_make_api_call", answered)
    return asked


def test_a_step_is_cancelled(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = _cancelling(monkeypatch, "SUBMITTED", "")
    done = run("--cancel", "s-1")
    assert done.exit_code == 0, done.output
    assert asked == [{"ClusterId": world.clusters[0].id, "StepIds": ["s-1"]}]
    assert "s-1: asked to end" in done.stdout


@pytest.mark.usefixtures("world")
def test_a_step_that_has_ended_is_not_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    _cancelling(monkeypatch, "FAILED", "Step is already completed")
    done = run("--cancel", "s-1")
    assert done.exit_code == 2
    assert "Step is already completed" in done.stderr


def test_cancel_starts_nothing(world: World) -> None:
    assert run("--cancel", "s-1", "--", "--backend", "dask").exit_code == 2
    assert not world.steps


def test_two_clusters_of_one_name_are_told_apart_by_their_ids(world: World) -> None:
    other = cluster()
    assert "--cluster-id" in run("--", *ON_S3).stderr
    done = run("--cluster-id", other, "--no-wait", "--", *ON_S3)
    assert done.exit_code == 0, done.output
    assert [len(one.steps) for one in world.clusters if one.id == other] == [1]
    theirs = cluster("theirs", "somebody")
    assert f"{theirs} (theirs) was not made by python -m bootstrap" in run("--cluster-id", theirs, "--", *ON_S3).stderr
