"""A new cluster asked for, with all that it stands on."""

import tempfile
from pathlib import Path

from bootstrap import cluster as clusters
from bootstrap import foundation
from bootstrap.context import Context
from bootstrap.request import run_job_flow
from bootstrap.staging import staged


def launched(context: Context) -> str:
    """Its id. The foundation and what the nodes install are made first where they are not there."""
    account, settings = context.account, context.settings
    made = foundation.deploy(account, settings, context.bucket, context.say)
    with tempfile.TemporaryDirectory() as folder:
        bundle = staged(account, settings, made.bucket, Path(folder), context.say)
    started = clusters.start(account, run_job_flow(settings, made, bundle))
    context.say(f"{started}: asked for")
    return started
