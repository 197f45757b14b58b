"""`exporter`: the NVML exporter, as the command `nvml-exporter` runs it.

Its words, `--help` included, are handed on unread: the exporter reads them itself, with the same
errors and exit codes under both names. click knows its flags for completion only.
"""

from __future__ import annotations

import click

from metrics_apiserver.cli.flag_command import declare
from metrics_apiserver.exporter import flags


class _HandedOn(click.Command):
    """Reads nothing."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.obj = args
        return []

    def invoke(self, ctx: click.Context) -> int:
        # Imported late: what the exporter needs is in the extra [gpu] only.
        from metrics_apiserver.exporter import cli

        return cli.main(ctx.obj)


command = _HandedOn(
    "exporter",
    params=[*declare(flags.TABLE)],
    add_help_option=False,
    help="Run the NVML exporter (needs the extra [gpu]).",
)
