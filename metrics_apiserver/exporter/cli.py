"""`nvml-exporter`, and `metrics-apiserver exporter`: reads flags and runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from metrics_apiserver.exporter import flags


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the exporter and gives its exit code: 0 stopped, 1 failed, 2 wrong flags."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        settings = flags.parse(words, os.environ)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 2
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
