"""`version`: which version of the program this is, and what it runs on."""

from __future__ import annotations

import platform

from metrics_apiserver import __version__
from metrics_apiserver.base import settings as declared
from metrics_apiserver.base.flags import Parsed
from metrics_apiserver.cli import output
from metrics_apiserver.cli.flag_command import FlagCommand
from metrics_apiserver.options.commands import OutputSettings


def run(parsed: Parsed) -> int:
    """Prints it; the exit code.

    Raises:
        errors.ConfigError: words that mean nothing here.
    """
    settings = declared.build(OutputSettings, parsed)
    if settings.output == "json":
        output.write_json(
            {
                "name": "metrics-apiserver",
                "version": __version__,
                "python": platform.python_version(),
                "platform": f"{platform.system().lower()}/{platform.machine()}",
            }
        )
    else:
        output.say(f"metrics-apiserver {__version__}")
    return 0


command = FlagCommand(
    "version", declared.table(OutputSettings), run, description="Print the version."
)
