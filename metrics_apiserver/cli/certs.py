"""Chooses the command, and says in one line what could not be done."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence

from metrics_apiserver.base import errors, flags
from metrics_apiserver.base.clock import wall_clock
from metrics_apiserver.base.flags import Parsed
from metrics_apiserver.cli import certs_inspect, certs_issue, certs_publish
from metrics_apiserver.cli.output import Streams
from metrics_apiserver.options import certs

_COMMANDS: Mapping[str, Callable[[Parsed, Streams, dt.datetime], int]] = {
    "issue": certs_issue.run,
    "publish": certs_publish.run,
    "inspect": certs_inspect.run,
}


def run(words: Sequence[str], streams: Streams) -> int:
    """Runs `certs WORDS`; the exit code: 0 done, 1 failed or not good, 2 wrong input.

    Raises:
        errors.ConfigError: flags or files that cannot be used.
    """
    name, *rest = words or ("--help",)
    if name in ("--help", "-h"):
        streams.out.write(certs.USAGE)
        return 0
    if name not in _COMMANDS:
        streams.remark(f"unknown command certs {name!r}\n\n{certs.USAGE.rstrip()}")
        return 2
    if "--help" in rest or "-h" in rest:
        streams.say(f"{certs.USAGE}\n{flags.render_help(certs.TABLES[name])}")
        return 0
    parsed = certs.parse(name, rest)
    now = dt.datetime.fromtimestamp(wall_clock(), dt.UTC)
    try:
        return _COMMANDS[name](parsed, streams, now)
    except errors.KubeError as error:
        streams.remark(f"{error.message} ({error.detail})" if error.detail else error.message)
    except OSError as error:
        streams.remark(f"{error.filename or 'connection'}: {error.strerror or error}")
    except KeyboardInterrupt:
        streams.remark("stopped; run it again to go on")
    return 1
