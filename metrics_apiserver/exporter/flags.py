"""The exporter's command line: words in, settings out.

Words follow the grammar of the server's own flags. Names of the node and of our own pod come from
NODE_NAME, POD_NAME and POD_NAMESPACE, which the downward API fills, unless a flag says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from metrics_apiserver.base import flags, settings
from metrics_apiserver.base.flags import Flag
from metrics_apiserver.exporter.settings import ExporterSettings

HELP = Flag("help", "bool", False, "show this help and exit", "General", shorthand="h")
VERSION = Flag("version", "bool", False, "show the version and exit", "General")
TABLE = (HELP, VERSION, *settings.table(ExporterSettings))


class Asked(Exception):
    """The command line asks for something to be shown, not for a run.

    Attributes:
        flag: `HELP` or `VERSION`.
    """

    def __init__(self, flag: Flag) -> None:
        super().__init__(f"--{flag.name}")
        self.flag = flag


def parse(words: Sequence[str], environment: Mapping[str, str]) -> ExporterSettings:
    """The settings that a command line means.

    Raises:
        ConfigError: it cannot be used; everything that is wrong is named.
        Asked: for the help or the version, whatever else is there.
    """
    parsed = flags.parse(TABLE, words, environment)
    for flag in (HELP, VERSION):
        if parsed.values[flag.name]:
            raise Asked(flag)
    return settings.build(ExporterSettings, parsed)
