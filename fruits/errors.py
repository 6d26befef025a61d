"""What can go wrong, as one tree. Each error says what happened and, as `advice`, what to do next.

FruitsError
├── BadArgument        refused before anything starts          exit code 2
│   ├── MissingPackage     an engine that is not installed
│   └── OutputInUse        the output holds something else, or another run has it
└── RunFailed          a run that began and could not end well exit code 1
"""

from fruits.installation import install_command


class FruitsError(Exception):
    """Base of all errors that `fruits` raises on purpose; never raised itself."""

    exit_code = 1

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message, advice)  # both in args, so that it survives pickling between processes
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message}\n{self.advice}" if self.advice else self.message


class BadArgument(FruitsError):
    """An argument, or a combination of arguments, that cannot be honoured."""

    exit_code = 2


class MissingPackage(BadArgument):
    """A package that this job needs is not installed; the advice is the line to type."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed", install_command(extra))
        self.args = (package, extra)


class OutputInUse(BadArgument):
    """The output folder holds results of other features, or files that are not results at all, or another run writes there."""


class RunFailed(FruitsError):
    """The run began and could not end well; what was committed stays usable by the next run."""
