"""`nvml-exporter`, and `metrics-apiserver exporter`: reads flags and runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from metrics_apiserver import __version__
from metrics_apiserver.base import flaghelp, streams
from metrics_apiserver.base.errors import ConfigError
from metrics_apiserver.exporter import flags

USAGE = """\
Usage: nvml-exporter [flags]

GPU use per pod for Prometheus, read from NVML.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the exporter and gives its exit code: 0 stopped, 1 failed, 2 wrong flags."""
    words = sys.argv[1:] if arguments is None else arguments
    return streams.run(lambda: _run(words))


def _run(words: Sequence[str]) -> int:
    try:
        settings = flags.parse(words, os.environ)
    except ConfigError as error:
        for one in error.diagnostics:
            sys.stderr.write(f"nvml-exporter: {one.path}: {one.message}\n")
        sys.stderr.write("nvml-exporter --help lists the flags\n")
        return 2
    except flags.Asked as asked:
        text = f"nvml-exporter {__version__}"
        if asked.flag is flags.HELP:
            text = f"{USAGE}\n{flaghelp.render_help(flags.TABLE, flaghelp.terminal_width())}"
        sys.stdout.write(f"{text}\n")
        return 0
    # Imported late: validating flags needs neither NVML nor gRPC.
    try:
        from metrics_apiserver.exporter import runtime
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"nvml-exporter: {error.name} is missing; install metrics-apiserver[gpu]\n"
        )
        return 1
    return runtime.run(settings)


if __name__ == "__main__":
    sys.exit(main())
