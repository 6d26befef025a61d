"""The command line before it does anything."""

import subprocess
import sys


def test_the_help_loads_nothing_that_is_slow_to_load() -> None:
    script = (
        "import sys, bootstrap.cli\n"
        "for command in ([], *([name] for name in bootstrap.cli.main.commands)):\n"
        "    try: bootstrap.cli.main([*command, '--help'], prog_name='bootstrap')\n"
        "    except SystemExit as ended: assert not ended.code\n"
        "print({'boto3', 'botocore', 'jinja2', 'numpy', 'pyarrow', 'tensorflow'} & sys.modules.keys())"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "set()"
