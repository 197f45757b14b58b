"""This server and another one, held against each other on rules and series that are drawn.

    make differential PEER=/path/to/adapter               # takes the predecessor's flags
    make differential PEER=… SEED=7 ROUNDS=50 SECONDS=3600
    make differential PEER=… SEED=7 ROUND=3               # that round alone

Exits with 1 where an answer differs and no row of docs/compatibility.md explains it, or where no
answer held a value.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from functools import partial

from tests import builds
from tests.differential import run
from tests.differential.run import Differential, Report
from tests.e2e.harness.environment import Environment

MAX_ROUNDS = 1000


def number(name: str, default: int) -> int:
    """A whole number from the environment; unset or empty is the default."""
    text = os.environ.get(name, "")
    if text and not text.isdecimal():
        sys.exit(f"{name}={text}: a whole number is needed")
    return int(text or default)


def main() -> int:
    peer = shlex.split(os.environ.get("PEER", ""))
    if not peer:
        sys.exit("PEER is not set: give the command of the other server, PEER=/path/to/adapter")
    seed = os.environ.get("SEED") or "1"
    only = number("ROUND", 0)
    last = min(number("ROUNDS", 10), MAX_ROUNDS)
    report = Report(partial(print, flush=True))
    environment = Environment(run.folder(builds.ROOT))
    flags = () if "SUBJECT" in os.environ else (run.FRESH,)
    deadline = time.monotonic() + number("SECONDS", 1800)
    try:
        differential = Differential(environment, seed, peer, flags, report)
        differential.start()
        for round_ in [only] if only else range(1, last + 1):
            if time.monotonic() > deadline:
                report.say(f"# SECONDS are over: stopped before round {round_}")
                break
            differential.run(round_)
            report.say(
                f"# SEED={seed}, round {round_}: {report}; "
                f"{report.lists_with_items} answers with values"
            )
    finally:
        environment.close()
    report.say(str(report))
    return int(report.counts["different"] > 0 or not report.lists_with_items)


if __name__ == "__main__":
    sys.exit(main())
