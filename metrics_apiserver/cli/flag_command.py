"""Commands of click whose flags are declared once, as `base.flags.Flag`.

click shows the help, completes words and finds the command. The words of a command are read by
`base.flags` as those of `serve` are: one grammar for the whole program (`--wait=false`,
underscores), and every wrong flag is named at once, where click stops at the first.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby, takewhile
from typing import Any

import click

from metrics_apiserver.base import flaghelp, flags
from metrics_apiserver.base import settings as declared
from metrics_apiserver.base.flags import Flag, Parsed

HELP_WORDS = ("-h", "--help")
CONTEXT = {"help_option_names": list(HELP_WORDS)}


class FlagOption(click.Option):
    """One flag, as click's help and completion see it.

    Attributes:
        flag: its declaration.
    """

    def __init__(self, flag: Flag) -> None:
        self.flag = flag
        name = re.sub(r"\W", "_", flag.name)
        is_bool = flag.kind == "bool"
        super().__init__(
            [name, *([f"-{flag.shorthand}"] if flag.shorthand else []), f"--{flag.name}"],
            is_flag=is_bool,
            type=None if is_bool else _completed_by(flag),
            metavar=None if is_bool else flaghelp.value_name(flag),
            multiple=flag.is_list,
            hidden=flag.ignored,
            help=f"{flag.help}{flaghelp.shown_default(flag)}",
        )


def _completed_by(flag: Flag) -> click.ParamType[Any]:
    """How a shell completes the value; values are read by `base.flags` alone."""
    if flag.choices:
        return click.Choice(flag.choices)
    return click.Path() if flag.kind in ("string", "strings", "stringArray") else click.STRING


def declare(table: Iterable[Flag]) -> Iterator[FlagOption]:
    """The options of a table of flags."""
    return map(FlagOption, table)


class FlagCommand(click.Command):
    """A command that is given its parsed flags.

    Args:
        name: as it is typed.
        table: its flags.
        run: makes settings of what was read, which refuses what cannot be used; gives the exit
            code.
        description: what it does; the first sentence is shown in lists of commands.
        arguments: what its words that are no flags stand for, such as `FILE...`; empty for none,
            which `run` checks.
        argument_type: how a shell completes them; files where it is not given.
    """

    def __init__(
        self,
        name: str,
        table: tuple[Flag, ...],
        run: Callable[[Parsed], int],
        *,
        description: str,
        arguments: str = "",
        argument_type: click.ParamType[Any] | None = None,
    ) -> None:
        params: list[click.Parameter] = [*declare(table)]
        if arguments:
            kind = argument_type or click.Path()
            params.append(click.Argument(["words"], nargs=-1, type=kind, metavar=arguments))
        super().__init__(name, params=params, help=description, context_settings=CONTEXT)
        self._table = table
        self._run = run

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the words; asked for help, it shows that and ends."""
        if ctx.resilient_parsing:  # a completing shell: the words are not finished
            return []
        if any(word in HELP_WORDS for word in takewhile(lambda word: word != "--", args)):
            click.echo(ctx.get_help())
            ctx.exit()
        ctx.obj = flags.parse(self._table, args)
        return []

    def invoke(self, ctx: click.Context) -> int:
        """Runs it; the exit code."""
        return self._run(ctx.obj)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The flags by group, in the order of the table."""
        params = self.get_params(ctx)
        options = [one for one in params if isinstance(one, FlagOption)]
        for group, members in groupby(options, lambda one: one.flag.group):
            records = [record for one in members if (record := one.get_help_record(ctx))]
            with formatter.section(group):
                formatter.write_dl(records)
        shown = self.get_help_option(ctx)
        record = shown.get_help_record(ctx) if shown else None
        if record:
            with formatter.section("Help"):
                formatter.write_dl([record])


class LazyGroup(click.Group):
    """A command with commands under it, each imported when it is named.

    Args:
        name: as it is typed.
        modules: the module of `metrics_apiserver.cli` that holds `command`, by command name.
        settings: as click.Group takes them.
    """

    def __init__(self, name: str, modules: Mapping[str, str], **settings: Any) -> None:
        super().__init__(name, **settings)
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in the order of use."""
        return [*super().list_commands(ctx), *self._modules]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command; None when there is none of that name."""
        if cmd_name not in self._modules:
            return super().get_command(ctx, cmd_name)
        module = importlib.import_module(f"metrics_apiserver.cli.{self._modules[cmd_name]}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the first word names.

        Raises:
            click.NoSuchCommand: there is none; says which names are near.
        """
        names = self.list_commands(ctx)
        if args[0] not in names and not ctx.resilient_parsing:
            # A word far from every name may be a secret that lost its flag.
            near = difflib.get_close_matches(args[0], names)
            word = args[0] if near else declared.shorten(args[0])
            raise click.NoSuchCommand(word, possibilities=near, ctx=ctx)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the words before the command's name; shows help on request, or without a word."""
        if (not args or args[0] in HELP_WORDS) and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)
