"""How a command of ours ends: with the work's exit code, or with a message that says what to do."""

from collections.abc import Callable, Iterable

import rich_click as click
from click import get_current_context

from fruits.errors import FruitsError
from fruits.packages import Needs, check_packages

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
UNCHANGED = "nothing was changed; the same command starts again"


def guarded(
    work: Callable[[], int],
    interrupted: str = UNCHANGED,
    needs: Iterable[Needs] = (),
) -> None:
    """Ends the process with the work's exit code; what is raised on purpose becomes a message.

    `interrupted`: what Ctrl-C leaves, in words. `needs`: packages that are looked for first.
    """
    try:
        check_packages(get_current_context().command_path, *needs)
        code = work()
    except FruitsError as failed:
        click.echo(f"error: {failed.message}", err=True)
        if failed.advice:
            click.echo(f"       {failed.advice}", err=True)
        code = failed.exit_code
    except (KeyboardInterrupt, ImportError) as ended:
        # Ctrl-C while a library of C++ is imported comes out of it as an ImportError (pybind11).
        if isinstance(ended, ImportError) and not isinstance(ended.__cause__, KeyboardInterrupt):
            raise
        click.echo(f"interrupted: {interrupted}", err=True)
        code = INTERRUPTED
    raise SystemExit(code)
