"""The command line: `python -m bootstrap COMMAND`."""

import rich_click as click

from bootstrap.commands import access, data, jobs, lifecycle

EPILOG = (
    "Exit codes: 0 done, 1 something failed, 2 an argument was refused before anything started, 130 interrupted. Settings: "
    "bootstrap/cluster.toml, a file of yours over it (--config, or cluster.toml in the working folder), --profile, options."
)


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """The EMR cluster on which both backends run, from nothing to gone.

    preflight looks whether it can be made, plan shows the request and the cost, up makes it, submit runs a job on it, down ends it. What
    costs says so and asks first.
    """


for module in (lifecycle, data, jobs, access):
    for command in module.COMMANDS:
        main.add_command(command)
