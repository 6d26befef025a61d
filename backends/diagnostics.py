"""What YARN and its containers said, as our messages show it."""

from fruits.errors import RunFailed

LOG_LINES = 20


def in_one_line(text: str) -> str:
    return " ".join(text.split())


def last_lines(text: str) -> str:
    """The end of a log, each line below the message and indented; nothing of an empty one."""
    lines = [line for line in text.splitlines() if line.strip()]
    return "".join(f"\n    {line}" for line in lines[-LOG_LINES:])


def application_ended(application: str, state: str, diagnostics: str, log: str = "") -> RunFailed:
    """A YARN application that has ended, and not by us. `diagnostics`: YARN's own words; `log`: of its containers."""
    said = in_one_line(diagnostics) or "YARN gives no reason"
    return RunFailed(
        f"the YARN application {application} has ended ({state}): {said}{last_lines(log)}",
        all_logs(application),
    )


def all_logs(application: str) -> str:
    return f"`yarn logs -applicationId {application}` shows all that its containers said"
