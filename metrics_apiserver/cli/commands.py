"""The commands other than `serve`, built on click: their list, and how failures are reported.

A command's module is imported when the command is named, so that `version` does not wait for the
libraries of `certs`. To add one: a file here with a `command`, and its name in `MODULES`.
"""

from __future__ import annotations

import click

from metrics_apiserver import __version__
from metrics_apiserver.base import errors, streams
from metrics_apiserver.cli import main
from metrics_apiserver.cli.flag_command import CONTEXT, LazyGroup, declare
from metrics_apiserver.options import serve

PROGRAM = "metrics-apiserver"
MODULES = {
    "check": "check",
    "certs": "certs",
    "exporter": "exporter",
    "completion": "completion",
    "version": "version",
}

_HELP = """\
Serves custom, external and resource metrics from Prometheus to Kubernetes.

Without a command the flags are those of serve: metrics-apiserver --config=FILE.

Tab completion: source <(metrics-apiserver completion bash), or zsh, or fish.
"""


def root() -> click.Group:
    """The program with its commands; `serve` is here for help and completion only."""
    made = LazyGroup(PROGRAM, MODULES, help=_HELP, context_settings=CONTEXT)
    made.add_command(
        click.Command(
            "serve",
            params=[*declare(serve.TABLE)],
            help="Run the server (the default command).",
        )
    )
    version = click.version_option(__version__, message=f"{PROGRAM} %(version)s")
    return version(made)


def run(words: list[str]) -> int:
    """Runs the command that the words name; the exit code: 0 done, 1 failed, 2 wrong input.

    Raises:
        errors.ConfigError: flags or files that cannot be used.
    """
    try:
        code = root().main(
            words,
            prog_name=PROGRAM,
            complete_var=main.COMPLETION_VARIABLE,
            standalone_mode=False,
        )
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("stopped", err=True)
    except errors.KubeError as error:
        detail = f" ({error.detail})" if error.detail else ""
        click.echo(f"{error.message}{detail}", err=True)
    except OSError as error:
        if streams.is_refused_output(error):
            raise
        click.echo(f"{error.filename or 'connection'}: {error.strerror or error}", err=True)
    else:
        return code or 0
    return 1
