"""The settings of the small commands (`check`, `version`, `completion`), with their flags.

`FORMAT` is the one declaration of `-o text|json`, for every command that programs read.
"""

from __future__ import annotations

from dataclasses import dataclass

from metrics_apiserver.base.flags import Flag
from metrics_apiserver.base.settings import SettingsGroup, filled_by, flag

FORMAT = Flag(
    "output",
    "string",
    "text",
    "text, or json for programs",
    "Output",
    shorthand="o",
    choices=("text", "json"),
)


@dataclass(frozen=True, slots=True)
class OutputSettings(SettingsGroup):
    """Of a command that only chooses how it prints."""

    output: str = filled_by(FORMAT)


@dataclass(frozen=True, slots=True)
class CheckSettings(OutputSettings):
    """Of `check`."""

    dialect: str = flag(
        "dialect",
        "promql",
        "language that queries are held to: promql, where a query that does not parse is an error, "
        "or metricsql, where it is a warning",
        group="Rules",
        choices=("promql", "metricsql"),
    )


@dataclass(frozen=True, slots=True)
class NoSettings(SettingsGroup):
    """Of a command that takes no flags."""
