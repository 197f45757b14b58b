"""`serve`: runs the server.

Reads its command line by pflag's grammar, as the predecessor does, and imports no library that only
the other commands need. Wrong flags are reported together with the errors of the rule file that
they name, so that one attempt shows everything there is to correct.
"""

from __future__ import annotations

import sys
from pathlib import Path

from metrics_apiserver.base import errors, flaghelp, flags, logs
from metrics_apiserver.options import serve
from metrics_apiserver.options.settings import ServeSettings

USAGE = """\
Usage: metrics-apiserver [serve] --config=FILE [flags]

Runs the server. `metrics-apiserver --help` lists the other commands.
"""


def run(words: list[str]) -> int:
    """Serves until a signal stops it; the exit code.

    Raises:
        ExceptionGroup: of errors.ConfigError: flags and files that cannot be used.
    """
    if "--help" in words or "-h" in words:
        sys.stdout.write(
            f"{USAGE}\n{flaghelp.render_help(serve.TABLE, flaghelp.terminal_width())}\n"
        )
        return 0
    settings = _settings(words)
    logs.configure(settings.verbosity, settings.log_format)
    # Imported late: validating flags and rule files needs no server.
    from metrics_apiserver import app

    return app.run(settings)


def _settings(words: list[str]) -> ServeSettings:
    """What the flags mean.

    Raises:
        ExceptionGroup: of errors.ConfigError: the flags', and those of the rule file they name.
    """
    try:
        return serve.parse(words)
    except errors.ConfigError as error:
        raise ExceptionGroup("start refused", [error, *_rule_file_errors(words)]) from None


def _rule_file_errors(words: list[str]) -> list[errors.ConfigError]:
    """Errors of the rule file, so that they need no further start to be seen."""
    from metrics_apiserver.provider import reload

    parsed = flags.parse(serve.TABLE, words)
    try:
        if "config" in parsed.given and parsed.values["config"]:
            reload.load(Path(parsed.values["config"]), quarantine=True)
    except errors.ConfigError as error:
        return [error]
    return []
