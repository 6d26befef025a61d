"""What each command has: the settings that its options and files make, the account, the prices, and a way to ask."""

import functools
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import rich_click as click
from rich.console import Console

from benchmarks.costs import Cost
from benchmarks.prices import TABLE, Prices, read_prices
from bootstrap.aws import Account, translated
from bootstrap.cost import groups, hourly
from bootstrap.settings import Settings, read_settings
from fruits.errors import BadArgument
from fruits.guard import guarded
from fruits.packages import WORKER, Needs

AWS = Needs("bootstrap", ("boto3", "botocore"))
# What a job takes and costs, by the benchmarks' model.
PROJECTION = Needs("bootstrap", ("numpy", "scipy"))
MAKING = (WORKER, Needs("bootstrap", ("requests", "setuptools")))  # a cluster
POLL_SECONDS = 15.0
UNCHANGED = "nothing was changed"
AT_AWS = "what was started goes on at AWS: `status` shows it, `down` ends it"


@dataclass(frozen=True)
class Context:
    """`every`: seconds between two questions to AWS while something is waited for."""

    settings: Settings
    prices: Prices
    console: Console
    every: float
    yes: bool

    @cached_property
    def account(self) -> Account:
        return Account(self.settings.region)

    @cached_property
    def bucket(self) -> str:
        return self.settings.bucket_of(self.account.id)

    @cached_property
    def an_hour(self) -> Cost:
        """Of the cluster that the settings make, as it starts."""
        return hourly(groups(self.settings), self.settings.region, self.prices, self.settings.network.private)

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)

    def say_cost(self, total: str, cost: Cost) -> None:
        """`total`: its sum in words."""
        self.say(f"{total}: {', '.join(f'{part} ${usd:.4f}' for part, usd in cost.parts.items())}")
        if cost.unknown:
            self.say(f"without a price, and in no sum: {', '.join(cost.unknown)}")
        for assumed in cost.assumed:
            self.say(f"assumed: {assumed}")

    def err(self, text: str) -> None:
        """On standard error: beside what a program reads."""
        click.echo(text, err=True)

    def confirm(self, question: str) -> None:
        """Comes back when it is answered by yes. Raises `BadArgument` where there is nobody to ask."""
        if self.yes:
            return
        if not sys.stdin.isatty():
            raise BadArgument(f"{question} There is no terminal to ask at", "say --yes")
        try:
            confirmed = click.confirm(question)
        except click.Abort:  # Ctrl-C, of which click makes an error of its own
            raise KeyboardInterrupt from None
        if not confirmed:
            raise BadArgument("not confirmed: nothing was done", "answer y, or say --yes")


class Setting(click.ParamType[tuple[str, Any]]):
    """`core.count=3`: a name of cluster.toml, and a value as TOML has it; a text needs no quotes."""

    name = "NAME=VALUE"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, Any]:
        import tomllib

        name, equals, text = str(value).partition("=")
        if not name or not equals:
            self.fail(f"{value!r} is not NAME=VALUE", param, ctx)
        try:
            return name, tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            return name, text


_OPTIONS = (
    click.option(
        "--config", type=click.Path(path_type=Path), help="Settings over the defaults. [default: cluster.toml in the working folder]"
    ),
    click.option("--profile", metavar="NAME", help="starter (1 + 1 nodes), notebook (1 + 1 + 2, as it was), or one of your file."),
    click.option("--name", metavar="NAME", help="Of the cluster and its foundation."),
    click.option("--region", metavar="REGION"),
    click.option("--bucket", metavar="NAME", help="[default: fruits-ACCOUNT-REGION]"),
    click.option("--set", "sets", type=Setting(), multiple=True, help="Any other setting, such as core.count=3; again for more."),
    click.option("--prices", type=click.Path(path_type=Path), default=TABLE, help="A table of your own. [default: benchmarks/prices.tsv]"),
)


def cluster_id_option(function: Any) -> Any:
    return click.option("--cluster-id", metavar="ID", help="Where there are several of one name.")(function)


def command(
    *,
    costs: bool = False,
    waits: bool = False,
    release: bool = False,
    interrupted: str = AT_AWS,
    needs: Iterable[Needs] = (),
) -> Callable[[Callable[..., int]], click.Command]:
    """A command that is given a `Context`, and ends as all of ours do. `costs`: it takes --yes. `waits`: it takes --poll. `interrupted`:
    what Ctrl-C leaves, in words. `needs`: packages, beside AWS's, that are looked for first."""
    options = list(_OPTIONS)
    if release:
        options.append(click.option("--release", metavar="NAME", help="Of EMR."))
    if waits:
        options.append(
            click.option(
                "--poll", type=click.FloatRange(0, 300), default=POLL_SECONDS, show_default=True, help="Seconds between questions to AWS."
            )
        )
    if costs:
        options.append(click.option("--yes", is_flag=True, help="Do not ask."))

    def decorated(function: Callable[..., int]) -> click.Command:
        @functools.wraps(function)
        def called(
            config: Path | None,
            profile: str | None,
            sets: tuple[tuple[str, Any], ...],
            prices: Path,
            poll: float = POLL_SECONDS,
            yes: bool = False,
            **given: Any,
        ) -> None:
            own = {name: given.pop(name) for name in ("name", "region", "bucket", "release") if name in given}

            def work() -> int:
                settings = read_settings(config, profile, _nested({**dict(sets), **{k: v for k, v in own.items() if v is not None}}))
                context = Context(settings, read_prices(prices), Console(highlight=False), poll, yes)
                with translated():
                    return function(context, **given)

            guarded(work, interrupted, needs=[AWS, *needs])

        for option in reversed(options):
            option(called)
        return click.command()(called)

    return decorated


def _nested(given: dict[str, Any]) -> dict[str, Any]:
    """`core.count` as a table in a table. Raises `BadArgument` for a name that is both a value and a table."""
    nested: dict[str, Any] = {}
    for name, value in given.items():
        *tables, last = name.split(".")
        at = nested
        for table in tables:
            at = at.setdefault(table, {})
            if not isinstance(at, dict):
                raise BadArgument(f"--set {name}: {table} is given as {at!r} too", "leave one of them out")
        if last in at:
            raise BadArgument(f"--set {name} is given twice", "leave one of them out")
        at[last] = value
    return nested
