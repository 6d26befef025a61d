"""Where a job runs: on this machine or on YARN, why, and what its workers must be told there."""

import os

from fruits import hadoop
from fruits.job import Job, seen_by_nodes

# What is no secret. Keys are never passed on: engines show the environment of their workers. Nodes use their role, or the files that AWS
# tools read.
AWS_SETTINGS = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3")


def place(job: Job) -> tuple[str, str]:
    """The cluster of a job, and in words why that, where it was not typed."""
    if job.cluster not in (None, "auto"):
        return str(job.cluster), ""
    configured = _yarn_configuration()
    if configured is None:
        return "local", "neither YARN_CONF_DIR nor HADOOP_CONF_DIR has a yarn-site.xml"
    if not seen_by_nodes(job.input, job.output):
        return "local", f"there is a YARN cluster in {configured}, but its nodes do not see the folders of this machine"
    return "yarn", f"configured in {configured}"


def worker_environment(job: Job) -> dict[str, str]:
    """The variables that a worker on another machine needs, none of them a secret."""
    passed = {name: os.environ[name] for name in AWS_SETTINGS if name in os.environ}
    return {**passed, **hadoop.worker_environment([job.input, job.output])}


def _yarn_configuration() -> str | None:
    folders = (os.environ.get(name) for name in ("YARN_CONF_DIR", "HADOOP_CONF_DIR"))
    return next((folder for folder in folders if folder and os.path.isfile(os.path.join(folder, "yarn-site.xml"))), None)
