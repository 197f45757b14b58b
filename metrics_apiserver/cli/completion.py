"""`completion`: the script by which a shell completes commands, flags and file names.

The script is click's; it calls the program with an environment variable that `cli.main` knows.
"""

from __future__ import annotations

import click
from click import shell_completion

from metrics_apiserver.base import settings as declared
from metrics_apiserver.base.diagnostics import Diagnostic
from metrics_apiserver.base.flags import Parsed
from metrics_apiserver.cli import main, output
from metrics_apiserver.cli.flag_command import FlagCommand
from metrics_apiserver.options.commands import NoSettings

SHELLS = {
    "bash": shell_completion.BashComplete,
    "zsh": shell_completion.ZshComplete,
    "fish": shell_completion.FishComplete,
}

_HELP = """\
Print the script for tab completion in bash, zsh or fish.

\b
  bash  source <(metrics-apiserver completion bash)
  zsh   source <(metrics-apiserver completion zsh)
  fish  metrics-apiserver completion fish | source

Put that line into ~/.bashrc, ~/.zshrc or ~/.config/fish/config.fish to have it in every shell.
"""


def run(parsed: Parsed) -> int:
    """Prints the script; the exit code.

    Raises:
        errors.ConfigError: no shell, or one that is not known.
    """
    if len(parsed.positional) != 1 or parsed.positional[0] not in SHELLS:
        message = f"name one shell: {', '.join(SHELLS)}"
        parsed.diagnostics.append(Diagnostic(message, path="arguments"))
    declared.build(NoSettings, parsed, takes_arguments=True)
    made = SHELLS[parsed.positional[0]](
        click.Group(), {}, "metrics-apiserver", main.COMPLETION_VARIABLE
    )
    output.say(made.source())
    return 0


command = FlagCommand(
    "completion",
    (),
    run,
    description=_HELP,
    arguments="SHELL",
    argument_type=click.Choice([*SHELLS]),
)
