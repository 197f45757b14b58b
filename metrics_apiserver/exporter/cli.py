"""`nvml-exporter`, and `metrics-apiserver exporter`: reads flags and runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from metrics_apiserver.exporter import flags
from metrics_apiserver.exporter.commandline import WrongFlags


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the exporter and gives its exit code: 0 stopped, 1 failed, 2 wrong flags."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        settings = flags.parse(words, os.environ)
    except WrongFlags as wrong:
        for fault in wrong.faults:
            sys.stderr.write(f"nvml-exporter: {fault}\n")
        sys.stderr.write("nvml-exporter --help lists the flags\n")
        return 2
    except SystemExit:  # argparse has shown the help or the version
        return 0
    # Imported late: judging flags needs neither NVML nor gRPC.
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
